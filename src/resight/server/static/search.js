// Pictures or a record, and the records most like them.

import { addPictures } from "./add.js";
import { form, get, post, thumbnail } from "./api.js";
import { recolour, showCards } from "./cards.js";
import { showDetails } from "./details.js";
import { $, h, later, replace } from "./dom.js";
import { address, follow, possible, searchWanted, set } from "./filters.js";
import { counted, UNKNOWN } from "./format.js";
import { keep, recall } from "./kept.js";
import { complain, shown } from "./notice.js";
import { MATCH, NO_MATCH, UNSURE } from "./rates.js";
import { current, decided, onMove, showDistances } from "./ruler.js";
import { may, standing } from "./standing.js";

let asked = null; // {id, pictures: [{file, url}], at, together} or {record}
let hits = [];
let running = new AbortController();

/** What the address says: a record to find more of, pictures that this tab keeps, or nothing; and the filters. */
export async function enter(record, query) {
  follow(query);
  $("search-link").href = location.hash || "#/search";
  if (record) return askRecord(record);
  const id = query.get("q");
  const files = id && recall(id);
  if (files) return askPictures(id, files, query.get("each"));
  if (asked) clear();
  else count();
  if (!id) return undefined;
  $("search-filters").open = true;
  return complain(new Error("The address holds the filters of a search, but not its picture: choose the picture again."));
}

/** Ask about pictures, under an address of their own. */
function choose(files) {
  const id = keep(files);
  const where = address("search", { q: id });
  if (location.hash === where) return;
  location.hash = where;
}

function askPictures(id, files, each) {
  if (asked?.id !== id) {
    release();
    asked = { id, pictures: files.map((file) => ({ file, url: URL.createObjectURL(file) })) };
  }
  asked.together = each === null;
  asked.at = Math.min(Number(each) || 0, files.length - 1);
  showPictures();
  begin();
}

function showPictures() {
  const { pictures, at, together } = asked;
  const [{ file, url }] = pictures.slice(at);
  $("query-picture").src = url;
  const many = pictures.length > 1;
  $("query-says").textContent =
    many && together ? `${pictures.length} pictures of one person` : file.name || "Pasted picture";
  $("query-several").hidden = !many;
  $("query-together").checked = together;
  replace(
    $("query-strip"),
    many &&
      pictures.map((picture, which) =>
        h(
          "li",
          {},
          h(
            "button",
            {
              type: "button",
              "aria-label": `Picture ${which + 1}: ${picture.file.name || "pasted"}`,
              "aria-pressed": String(together || which === at),
              onclick: () => turn(which),
            },
            h("img", { alt: "", src: picture.url }),
          ),
        ),
      ),
  );
}

/** Search with one of the pictures alone, or with all of them together (null). */
function turn(which) {
  asked.together = which === null;
  asked.at = which ?? 0;
  showPictures();
  again();
}

/** Ask about a record that stands in the gallery. */
async function askRecord(id) {
  const record = await shown(() => get(`records/${encodeURIComponent(id)}`));
  if (!record) return;
  release();
  asked = { record };
  thumbnail($("query-picture"), record.id);
  $("query-says").textContent = `More like ${record.identity ?? UNKNOWN}`;
  $("query-several").hidden = true;
  begin();
}

function release() {
  for (const { url } of asked?.pictures ?? []) URL.revokeObjectURL(url);
}

function begin() {
  $("filter-other").hidden = !asked.record?.camera; // of pictures no camera is known
  $("search").dataset.state = "asked";
  $("query-picture").hidden = false;
  $("query-word").textContent = "Choose another";
  $("query-add").hidden = !asked.pictures || !may("write");
  $("answer").hidden = false;
  if (matchMedia("(min-width: 60rem)").matches) $("search-filters").open = true;
  run().then(() => $("found-title").focus({ preventScroll: true }));
}

/** Nothing is asked about. */
function clear() {
  running.abort();
  release();
  asked = null;
  hits = [];
  $("search").dataset.state = "empty";
  $("query-file").value = "";
  $("query-picture").hidden = true;
  $("query-picture").removeAttribute("src");
  $("query-says").textContent = "";
  $("query-word").textContent = "Choose pictures";
  $("query-several").hidden = true;
  $("answer").hidden = true;
  $("search-filters").open = false;
  $("results").replaceChildren();
  count();
  complain(null);
}

/** How many filters are set. */
function count() {
  const filters = set(searchWanted());
  $("filter-count").textContent = filters ? `${filters} set` : "";
}

/** The question or its filters changed: the address follows, and the search is done again. */
export function again() {
  count();
  if (!possible($("filter-form"))) return undefined;
  const place = asked?.record ? `like/${encodeURIComponent(asked.record.id)}` : "search";
  const more = asked?.pictures ? { q: asked.id, ...(!asked.together && { each: asked.at }) } : {};
  history.replaceState(null, "", address(place, more));
  $("search-link").href = location.hash;
  return asked ? run() : undefined;
}

async function run() {
  const where = searchWanted();
  count();
  running.abort();
  running = new AbortController();
  const { signal } = running;
  const fields = $("filter-form").elements;
  const { other_cameras: other } = fields;
  const more = { k: Number(fields.k.value), rerank: fields.rerank.checked };
  $("progress").hidden = false;
  $("results").setAttribute("aria-busy", "true");
  const answer = await shown(() =>
    asked.pictures
      ? post("search", form({ image: images(), ...where, ...more }), signal)
      : post("search/record", { id: asked.record.id, other_cameras: other.checked, where, ...more }, signal),
  );
  if (signal.aborted) return;
  $("progress").hidden = true;
  $("results").removeAttribute("aria-busy");
  hits = answer?.hits ?? [];
  $("answer").hidden = !answer;
  show();
}

const images = () =>
  asked.together ? asked.pictures.map(({ file }) => file) : [asked.pictures[asked.at].file];

function show() {
  showDistances(hits.map((hit) => hit.distance));
  showCards($("results"), found(), (at) => showDetails(found(), at, picture));
  tally();
}

/** The results as they are decided now. */
function found() {
  const calibrated = current() !== null;
  return hits.map((hit) => ({ record: hit.record, hit, decision: calibrated ? decided(hit.distance) : undefined }));
}

/** The picture asked about, once more. */
function picture() {
  const image = h("img", { alt: "The query picture" });
  if (asked.record) return thumbnail(image, asked.record.id);
  image.src = asked.pictures[asked.at].url;
  return image;
}

function tally() {
  const decisions = current() === null ? [] : hits.map((hit) => decided(hit.distance));
  const number = (decision) => `${decisions.filter((one) => one === decision).length} ${decision}`;
  $("found-says").textContent = !hits.length
    ? "No record matches the filters."
    : decisions.length
      ? [MATCH, UNSURE, NO_MATCH].map(number).join(" · ")
      : counted(hits.length, "record");
}

const tallySoon = later(250, tally); // a moving slider is not to be read out at every step

/** What a search goes through, before there is one. */
function stand() {
  const cameras = Object.keys(standing.cameras).length;
  $("standing").textContent = !may("read")
    ? ""
    : standing.records
      ? `Searches ${counted(standing.records, "record")} from ${counted(cameras, "camera")}.`
      : "The gallery is still empty: add pictures first.";
}

export function start() {
  document.addEventListener("standing", stand);
  const file = $("query-file");
  file.addEventListener("change", () => {
    if (file.files.length) choose([...file.files]);
    file.value = ""; // so that the same file can be chosen again
  });
  $("query-picture").addEventListener("error", () => ($("query-picture").hidden = true)); // the service says why
  $("query-clear").addEventListener("click", () => {
    clear();
    location.hash = address("search");
    file.focus();
  });
  $("query-add").addEventListener("click", () => addPictures(images()));
  $("query-together").addEventListener("change", ({ target }) => turn(target.checked ? null : 0));
  $("filter-form").addEventListener("input", later(250, again));
  $("filter-form").addEventListener("reset", () => setTimeout(again));
  $("filter-form").addEventListener("submit", (event) => event.preventDefault());
  onMove(() => {
    recolour(
      $("results"),
      hits.map((hit) => decided(hit.distance)),
    );
    tallySoon();
  });
  drops();
}

/** Pictures that are dropped on the page or pasted into it. */
function drops() {
  const drop = $("drop");
  const take = (items) => {
    const files = [...(items ?? [])].filter((one) => one.type.startsWith("image/"));
    if (files.length) choose(files);
    else if (items?.length) complain(new Error("This is not a picture: drop or paste a JPEG, PNG or WebP file."));
  };
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => !event.relatedTarget && drop.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (!document.querySelector("dialog[open]")) take(event.dataTransfer.files);
  });
  document.addEventListener(
    "paste",
    (event) => document.querySelector("dialog[open]") || take(event.clipboardData.files),
  );
}
