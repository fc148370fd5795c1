// The review queue: the most doubtful links first, two tracks side by side, answered with the keys S, D and U.

import { get, post, thumbnail } from "./api.js";
import { $, h, replace } from "./dom.js";
import { UNKNOWN, counted, exactly, percent } from "./format.js";
import { shown } from "./notice.js";
import { changed, may } from "./standing.js";

const MOST = 20;
const KEYS = { s: "same", d: "different", u: "unsure" };
let questions = [];
let at = 0;
let answered = 0;
let busy = false;

export async function showReview() {
  [questions, answered, at] = [[], 0, 0];
  try {
    ({ questions, answered } = await get("review", { limit: MOST }));
    draw();
  } catch (error) {
    draw();
    $("review-says").textContent = error.message;
  }
}

function draw() {
  const question = questions[at];
  const all = counted(answered, "pair has an answer", "pairs have an answer");
  $("review-says").textContent = question
    ? `Question ${at + 1} of ${questions.length}. ${all}.`
    : `${questions.length ? "All questions are answered" : "There are no questions"}. ${all}.`;
  $("review-link").hidden = !may("write") || !answered;
  $("review-answers").hidden = !question || !may("write");
  $("review-back").disabled = at === 0;
  replace(
    $("review-pair"),
    question && [side(question.first), side(question.second)],
  );
  $("review-why").textContent = question
    ? `${question.linked ? "Linked now" : "Not linked now"}; the probability that this is wrong is ${percent(question.wrong)}. ` +
      `The answer is about ${counted(question.pairs, "pair")} of tracks.`
    : "";
}

function side(record) {
  return h(
    "figure",
    {},
    thumbnail(h("img", { alt: `The track of ${record.identity ?? UNKNOWN} at ${record.camera || "no camera"}` }), record.id),
    h(
      "figcaption",
      {},
      h("b", {}, record.identity ?? UNKNOWN),
      h("span", { class: "place" }, record.camera || "no camera"),
      h("span", { class: "place" }, exactly(record.time)),
    ),
  );
}

async function answer(word) {
  const question = questions[at];
  if (!question || busy || !may("write")) return;
  busy = true;
  try {
    const { first, second } = question;
    const found = await shown(() => post("review", { first: first.id, second: second.id, answer: word }));
    if (!found) return;
    ({ answered } = found);
    at += 1;
    draw();
    $("review-spoken").textContent = `Answered: ${word}. ${$("review-says").textContent}`;
  } finally {
    busy = false;
  }
}

async function link() {
  $("review-link").disabled = true;
  const found = await shown(() => post("review/link", {}));
  $("review-link").disabled = false;
  if (found) await changed(`Linked again: ${counted(found.records, "track has", "tracks have")} another name.`);
}

for (const word of Object.values(KEYS)) $(`review-${word}`).addEventListener("click", () => answer(word));
$("review-link").addEventListener("click", link);
$("review-back").addEventListener("click", () => {
  at = Math.max(0, at - 1);
  draw();
});

document.addEventListener("keydown", (event) => {
  const word = KEYS[event.key.toLowerCase()];
  const typing = event.target.closest("input, select, textarea, dialog");
  if (!word || $("watch").hidden || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  answer(word);
});
