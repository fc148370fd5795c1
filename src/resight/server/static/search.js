// A picture or a record, and the records most like it.

import { addPicture } from "./add.js";
import { form, get, post, thumbnail } from "./api.js";
import { recolour, showCards } from "./cards.js";
import { showDetails } from "./details.js";
import { $, h, later } from "./dom.js";
import { searchWanted, set } from "./filters.js";
import { counted, UNKNOWN } from "./format.js";
import { complain, shown } from "./notice.js";
import { MATCH, NO_MATCH, UNSURE } from "./rates.js";
import { current, decided, onMove, showDistances } from "./ruler.js";
import { may, standing } from "./standing.js";

let asked = null; // {file, url} or {record}
let hits = [];
let running = new AbortController();

/** Ask about a picture. */
function askPicture(file) {
  if (asked?.url) URL.revokeObjectURL(asked.url);
  asked = { file, url: URL.createObjectURL(file) };
  $("query-picture").src = asked.url;
  $("query-says").textContent = file.name || "Pasted picture";
  begin();
}

/** Ask about a record that stands in the gallery. */
export async function askRecord(id) {
  const record = await shown(() => get(`records/${encodeURIComponent(id)}`));
  if (!record) return;
  asked = { record };
  thumbnail($("query-picture"), record.id);
  $("query-says").textContent = `More like ${record.identity ?? UNKNOWN}`;
  begin();
}

function begin() {
  $("search").dataset.state = "asked";
  $("query-picture").hidden = false;
  $("query-word").textContent = "Choose another";
  $("query-add").hidden = !asked.file || !may("write");
  $("answer").hidden = false;
  if (matchMedia("(min-width: 60rem)").matches) $("search-filters").open = true;
  run().then(() => $("found-title").focus({ preventScroll: true }));
}

/** Nothing is asked about. */
function clear() {
  running.abort();
  asked = null;
  hits = [];
  $("search").dataset.state = "empty";
  $("query-file").value = "";
  $("query-picture").hidden = true;
  $("query-picture").removeAttribute("src");
  $("query-says").textContent = "";
  $("query-word").textContent = "Choose a picture";
  $("answer").hidden = true;
  $("search-filters").open = false;
  $("results").replaceChildren();
  complain(null);
}

async function run() {
  const where = searchWanted();
  const filters = set(where);
  $("filter-count").textContent = filters ? `${filters} set` : "";
  if (!asked) return;
  running.abort();
  running = new AbortController();
  const { signal } = running;
  const fields = $("filter-form").elements;
  const more = { k: Number(fields.k.value), rerank: fields.rerank.checked };
  $("progress").hidden = false;
  $("results").setAttribute("aria-busy", "true");
  const answer = await shown(() =>
    asked.file
      ? post("search", form({ image: asked.file, ...where, ...more }), signal)
      : post("search/record", { id: asked.record.id, where, ...more }, signal),
  );
  if (signal.aborted) return;
  $("progress").hidden = true;
  $("results").removeAttribute("aria-busy");
  hits = answer?.hits ?? [];
  $("answer").hidden = !answer;
  show();
}

function show() {
  const calibrated = current() !== null;
  showDistances(hits.map((hit) => hit.distance));
  const decision = (hit) => (calibrated ? decided(hit.distance) : undefined);
  showCards(
    $("results"),
    hits.map((hit) => ({ record: hit.record, hit, decision: decision(hit) })),
    (at) => showDetails({ record: hits[at].record, hit: hits[at], decision: decision(hits[at]), asked: picture }),
  );
  tally();
}

/** The picture asked about, once more. */
function picture() {
  const image = h("img", { alt: "The query picture" });
  if (asked.record) return thumbnail(image, asked.record.id);
  image.src = asked.url;
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
  file.addEventListener("change", () => file.files[0] && askPicture(file.files[0]));
  $("query-picture").addEventListener("error", () => ($("query-picture").hidden = true)); // the service says why
  $("query-clear").addEventListener("click", () => {
    clear();
    if (location.hash.startsWith("#/like/")) location.hash = "#/search";
    file.focus();
  });
  $("query-add").addEventListener("click", () => addPicture(asked.file));
  $("filter-form").addEventListener("input", later(250, run));
  $("filter-form").addEventListener("reset", () => setTimeout(run));
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
    const file = [...(items ?? [])].find((one) => one.type.startsWith("image/"));
    if (file) {
      if (!location.hash.startsWith("#/search")) location.hash = "#/search";
      askPicture(file);
    } else if (items?.length) complain(new Error("This is not a picture: drop or paste a JPEG, PNG or WebP file."));
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

/** The gallery changed: the same question once more. */
export const again = run;
