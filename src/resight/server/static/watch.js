// Tracks over time: a row per camera, a bar per track in the colour of its identity; and doubtful links to answer.

import { get } from "./api.js";
import { title } from "./cards.js";
import { showDetails } from "./details.js";
import { $, h, later, replace } from "./dom.js";
import { wanted } from "./filters.js";
import { UNKNOWN, between, counted, exactly } from "./format.js";
import { shown } from "./notice.js";
import { showReview } from "./review.js";
import { drawTracks } from "./tracks.js";

const MOST = 1000;
let tracks = [];

export async function showWatch() {
  await list();
  await showReview();
}

async function list() {
  const { camera, identity, after, before, unknown } = wanted($("watch-form"));
  const query = { camera: camera[0], identity: identity[0], after, before, unknown, limit: MOST };
  const answer = await shown(() => get("tracks", query));
  if (!answer) return;
  ({ tracks } = answer);
  const timed = tracks.filter(({ record }) => record.time != null);
  const people = new Set(tracks.map(({ record }) => record.identity).filter(Boolean));
  const span = timed.length ? `, ${between(timed[0].begin, Math.max(...timed.map(({ end }) => end)))}` : "";
  const only = tracks.length === MOST ? "The newest " : "";
  $("watch-says").textContent = tracks.length
    ? `${only}${counted(tracks.length, "track")} of ${counted(people.size, "identity", "identities")}${span}`
    : "No tracks: watch videos or cameras with resight watch.";
  draw();
  replace(
    $("watch-rows"),
    tracks.map(({ record, begin, end }, at) =>
      h(
        "tr",
        {},
        h("td", {}, record.identity ?? UNKNOWN),
        h("td", {}, record.camera || "no camera"),
        h("td", {}, record.time == null ? "not known" : exactly(begin)),
        h("td", {}, `${(end - begin).toFixed(1)} s`),
        h("td", {}, h("button", { type: "button", class: "bare", onclick: () => open(at) }, `Open ${title(record)}`)),
      ),
    ),
  );
}

function open(at) {
  showDetails(
    tracks.map(({ record }) => ({ record })),
    at,
  );
}

function draw() {
  drawTracks($("watch-plot"), tracks, open);
}

$("watch-form").addEventListener("input", later(250, list));
$("watch-form").addEventListener("submit", (event) => event.preventDefault());
new ResizeObserver(() => $("watch").hidden || draw()).observe($("watch-plot"));
