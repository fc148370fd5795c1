// The review queue: the most doubtful links first, two tracks side by side, answered with the keys S, D and U.

import { get, post } from "./api.js";
import { $, replace } from "./dom.js";
import { counted, percent } from "./format.js";
import { shown } from "./notice.js";
import { onAnswer, side } from "./pair.js";
import { changed, may } from "./standing.js";

const MOST = 20;
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
    question && [side(question.first, "track"), side(question.second, "track")],
  );
  $("review-why").textContent = question
    ? `${question.linked ? "Linked now" : "Not linked now"}; the probability that this is wrong is ${percent(question.wrong)}. ` +
      `The answer is about ${counted(question.pairs, "pair")} of tracks.`
    : "";
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

onAnswer("review", "watch", answer);
$("review-link").addEventListener("click", link);
$("review-back").addEventListener("click", () => {
  at = Math.max(0, at - 1);
  draw();
});
