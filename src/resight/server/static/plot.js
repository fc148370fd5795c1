// The curves of the calibration over the distance, what the slider makes of it, and the results' distances below.

import { $, replace, s } from "./dom.js";
import { percent } from "./format.js";
import { MATCH, UNSURE } from "./rates.js";

const LEFT = 58; // ruler.css puts the slider on the axis: these numbers are there too
const RIGHT = 14;
const TOP = 6;
const PLOT = 96; // from TOP to the axis
const MARKS = 22; // where the distances stand, below the axis
const NUMBERS = 42;

/**
 * Draw it.
 *
 * @param {object} decision of the model
 * @param {number} value where the slider stands
 * @param {number} span the distance at the right end
 * @param {[number, string][]} marks the distance of each result, and what is decided
 */
export function plot(decision, value, span, marks) {
  const svg = $("ruler-plot");
  const width = svg.parentElement.clientWidth;
  if (!width) return;
  const x = (at) => LEFT + (at / span) * (width - LEFT - RIGHT);
  const points = decision.curve ?? [];
  const rated = points.flatMap((point) => [point.false_match_rate, point.miss_rate]).filter((rate) => rate > 0);
  const floor = Math.min(-2, Math.max(-6, Math.floor(Math.log10(Math.min(1, ...rated)))));
  const y = (rate) => TOP + (PLOT * Math.log10(Math.max(rate, 10 ** floor))) / floor;
  const base = TOP + PLOT;
  const beyond = Math.min(span, Math.max(value, decision.no_match_beyond));
  const area = (name, from, to) => [
    s("rect", { class: `zone ${name}`, x: x(from), y: TOP, width: Math.max(0, x(to) - x(from)), height: PLOT }),
    x(to) - x(from) > 60 &&
      s("text", { class: `word ${name}`, x: (x(from) + x(to)) / 2, y: base - 7 }, name.replace("-", " ")),
  ];
  const curve = (name, rate) =>
    s("path", {
      class: `curve ${name}`,
      d: `M${points.map((point) => `${x(point.threshold).toFixed(1)} ${y(point[rate]).toFixed(1)}`).join("L")}`,
    });
  const powers = Array.from({ length: -floor + 1 }, (_, power) => -power).filter(
    (power) => power % 2 === 0 || floor > -4,
  );
  svg.setAttribute("viewBox", `0 0 ${width} ${base + NUMBERS + 6}`);
  replace(
    svg,
    area("match", 0, value),
    area("unsure", value, beyond),
    area("no-match", beyond, span),
    powers.map((power) => [
      s("path", { class: "grid", d: `M${LEFT} ${y(10 ** power)}H${width - RIGHT}` }),
      s("text", { class: "left", x: LEFT - 8, y: y(10 ** power) + 4 }, percent(10 ** power)),
    ]),
    points.length > 1 && [curve("c-missed", "miss_rate"), curve("c-false", "false_match_rate")],
    s("path", { class: "axis", d: `M${LEFT} ${base}H${width - RIGHT}` }),
    s("path", { class: "calibrated", d: `M${x(decision.threshold)} ${TOP}V${base}` }),
    s("path", { class: "here", d: `M${x(value)} ${TOP}V${base}` }),
    ticks(span, width).map((tick) => s("text", { class: "middle", x: x(tick), y: base + NUMBERS }, String(tick))),
    marks.map(([distance, found]) => mark(x(distance), base + MARKS, found)),
  );
}

/** A shape for each decision, so that colour is never alone. */
function mark(x, y, decision) {
  if (decision === MATCH) return s("circle", { class: "mark match", cx: x, cy: y, r: 4.5 });
  if (decision === UNSURE) return s("path", { class: "mark unsure", d: `M${x} ${y - 5}l5 5-5 5-5-5Z` });
  return s("path", { class: "mark no-match", d: `M${x - 3.5} ${y - 3.5}l7 7m0-7l-7 7` });
}

function ticks(span, width) {
  const rough = span / Math.max(3, width / 110);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * power).find((one) => one >= rough);
  const digits = Math.max(0, -Math.floor(Math.log10(step)));
  return Array.from({ length: Math.floor(span / step) + 1 }, (_, at) => Number((at * step).toFixed(digits)));
}
