// Twenty questions about pairs of records, chosen by the service; then the gallery has a threshold of its own.

import { get, post } from "./api.js";
import { $, h, replace } from "./dom.js";
import { counted, distance, percent } from "./format.js";
import { shown } from "./notice.js";
import { onAnswer, side } from "./pair.js";
import { changed, may } from "./standing.js";

let asked = { question: null, given: 0, needed: 20 };
let busy = false;

export async function showCalibrate() {
  $("calibrate-learnt").hidden = true;
  try {
    asked = await get("calibration");
    draw();
  } catch (error) {
    asked = { ...asked, question: null };
    draw();
    $("calibrate-says").textContent = error.message;
  }
}

function draw() {
  const { question, given, needed } = asked;
  const more = given < needed ? `${needed - given} more are needed` : "More make the threshold more certain";
  $("calibrate-says").textContent =
    `${counted(given, "answer")} that ${given === 1 ? "is" : "are"} not unsure. ` +
    `${question ? more : "There is no pair left to ask about"}.`;
  $("calibrate-answers").hidden = !question || !may("write");
  $("calibrate-go").hidden = given < needed || !may("write");
  replace($("calibrate-pair"), question && [side(question.first, "picture"), side(question.second, "picture")]);
}

async function answer(word) {
  const { question } = asked;
  if (!question || busy || !may("write")) return;
  busy = true;
  try {
    const { first, second } = question;
    const found = await shown(() => post("calibration/answer", { first: first.id, second: second.id, answer: word }));
    if (!found) return;
    asked = found;
    draw();
    $("calibrate-spoken").textContent = `Answered: ${word}. ${$("calibrate-says").textContent}`;
  } finally {
    busy = false;
  }
}

const between = ({ low, high }) => `between ${percent(low)} and ${percent(high)}`;

async function calibrate() {
  $("calibrate-go").disabled = true;
  const found = await shown(() => post("calibration", {}));
  $("calibrate-go").disabled = false;
  if (!found) return;
  await changed(`The threshold is ${distance(found.threshold)} now.`);
  const before = found.threshold_before;
  const sure = counted(found.same + found.different, "answer");
  const until = found.expected_before;
  replace(
    $("calibrate-learnt"),
    h("h2", { id: "calibrate-done", tabindex: "-1" }, "What was learnt"),
    [
      `Match up to distance ${distance(found.threshold)}; before, ` +
        (before == null ? "there was no threshold." : `it was ${distance(before)}.`),
      `Unsure up to distance ${distance(found.no_match_beyond)}, and no match beyond.`,
      `Learnt from ${sure}: ${found.same} same, ${found.different} different.`,
      `Of pairs of different ones, ${percent(found.false_match_rate)} may be called a match. By the answers, it is ` +
        `${between(found.expected)}${until ? `; with the threshold before, ${between(until)}` : ""}.`,
    ].map((line) => h("p", {}, line)),
  );
  $("calibrate-learnt").hidden = false;
  $("calibrate-done").focus();
}

onAnswer("calibrate", "calibrate", answer);
$("calibrate-go").addEventListener("click", calibrate);
