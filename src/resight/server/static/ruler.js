// The slider that moves the threshold, on the curves that say what comes with it and above the results' distances.

import { $, h, replace } from "./dom.js";
import { distance, oneIn, percent, rough, counted } from "./format.js";
import { plot } from "./plot.js";
import { MATCH, UNSURE, decide, ratesAt } from "./rates.js";
import { standing } from "./standing.js";

const input = $("ruler-input");
const moved = new EventTarget();

let threshold = null; // of the slider; null until it is moved
let distances = [];

/** The distance at the slider; null where the model was never calibrated. */
export const current = () => threshold ?? standing.decision?.threshold ?? null;

export function decided(value) {
  const found = decide(value, current(), standing.decision.no_match_beyond);
  return standing.decision.warning && found === MATCH ? UNSURE : found;
}

/** Call this whenever the slider moved. */
export const onMove = (call) => moved.addEventListener("move", call);

/** Show the distances of new results. */
export function showDistances(values) {
  distances = values;
  const { decision } = standing;
  const calibrated = decision?.threshold != null;
  $("ruler").classList.toggle("plain", !calibrated);
  if (!calibrated) {
    $("ruler-note").textContent =
      "This model was never calibrated, so only distances are shown: `resight calibrate` gives it a threshold, " +
      "probabilities and decisions.";
    return;
  }
  const ends = [decision.curve?.at(-1)?.threshold ?? 0, decision.no_match_beyond * 1.15, decision.threshold * 1.5];
  const span = Math.max(...ends, ...distances) * 1.02;
  Object.assign(input, { min: 0, max: span, value: current() });
  draw();
}

function draw() {
  const { decision } = standing;
  const value = current();
  const rates = ratesAt(decision.curve, value);
  $("ruler-value").textContent = distance(value);
  $("ruler-reset").hidden = threshold === null || threshold === decision.threshold;
  const most = { below: "at most ", above: "at least ", "": "" };
  const least = { below: "at least ", above: "at most ", "": "" };
  const falseMatches = rates && `${most[rates.outside]}${percent(rates.falseMatch)}`;
  const missed = rates && `${least[rates.outside]}${percent(rates.missed)}`;
  const strangers =
    rates?.falseMatch > 0 && rates.falseMatch < 0.5 ? `${oneIn(rates.falseMatch)} strangers` : "of strangers";
  replace($("ruler-false"), falseMatches ?? "not known", rates && [" ", h("small", {}, strangers)]);
  replace($("ruler-missed"), missed ?? "not known", rates && [" ", h("small", {}, "of true matches")]);
  const expected = rates && rough(rates.falseMatch * standing.records);
  const known = rates
    ? `Searching all ${counted(standing.records, "record")}, expect about ${expected} false matches.`
    : "The calibration contains no curve, so no rates are known.";
  $("ruler-note").textContent = decision.warning || known;
  const spoken = rates ? `, false matches ${falseMatches}, ${missed} of true matches missed` : "";
  input.setAttribute("aria-valuetext", distance(value) + spoken);
  const marks = distances.map((one) => [one, decided(one)]);
  plot(decision, value, Number(input.max), marks);
}

function move(value) {
  threshold = value;
  draw();
  moved.dispatchEvent(new Event("move"));
}

input.addEventListener("input", () => move(Number(input.value)));
input.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[event.key];
  if (!step) return; // with step="any" the browsers disagree on how far a key goes
  event.preventDefault();
  input.value = Number(input.value) + (step * Number(input.max)) / 200;
  move(Number(input.value));
});
$("ruler-reset").addEventListener("click", () => {
  input.value = standing.decision.threshold;
  move(null);
  input.focus();
});
new ResizeObserver(() => standing.decision?.threshold != null && !$("answer").hidden && input.max && draw()).observe(
  $("ruler"),
);
