// All records, a page at a time.

import { get } from "./api.js";
import { showCards } from "./cards.js";
import { showDetails } from "./details.js";
import { $, later } from "./dom.js";
import { wanted } from "./filters.js";
import { count, counted } from "./format.js";
import { shown } from "./notice.js";
import { standing } from "./standing.js";

const PAGE = 60;
let records = [];
let next = null;

/** From the first one on; the same number again after a change. */
export async function showRecords(limit = PAGE) {
  records = [];
  next = null;
  await more(limit);
}

const fitting = () =>
  next ? `The first ${count(records.length)} matching records` : counted(records.length, "matching record");

async function more(limit = PAGE) {
  const form = $("records-form");
  const { camera, identity, after, before, unknown } = wanted(form);
  const query = {
    camera: camera[0],
    identity: identity[0],
    after,
    before,
    unknown,
    limit,
    after_id: next,
  };
  const answer = await shown(() => get("records", query));
  if (!answer) return;
  records = next ? [...records, ...answer.records] : answer.records;
  next = answer.next;
  $("records-more").hidden = !next;
  $("records-says").textContent = !standing.records
    ? "The gallery is empty: add a picture."
    : records.length
      ? `${fitting()}, of ${count(standing.records)} in the gallery`
      : "No matching records.";
  const listed = records.map((record) => ({ record }));
  showCards($("records-cards"), listed, (at) => showDetails(listed, at));
}

$("records-more").addEventListener("click", async () => {
  const shownBefore = records.length;
  await more();
  $("records-cards").children[shownBefore]?.querySelector("button").focus();
});
$("records-form").addEventListener(
  "input",
  later(250, () => showRecords()),
);
$("records-form").addEventListener("submit", (event) => event.preventDefault());

/** The gallery changed. */
export const again = () => showRecords(Math.max(PAGE, records.length));
