// Sightings over time, a line per camera, joined in the order in which they happened.

import { h, replace, s } from "./dom.js";
import { clock, counted, day, when } from "./format.js";

const ROW = 40;
const AXIS = 26;
const EDGE = 18;
const STEPS = [1, 5, 15, 30, 60, 180, 360, 720, 1440, 2880, 10080, 40320].map((minutes) => minutes * 60);

/** Draw records, ordered by time, into an element; a click on one opens it. */
export function drawTimeline(element, records, open) {
  const width = element.clientWidth;
  const sightings = records.map((record, at) => ({ ...record, at })).filter(({ time }) => time != null);
  if (!sightings.length) return replace(element, h("p", { class: "soft" }, "None of the records has a time."));
  const cameras = [...new Set(sightings.map(({ camera }) => camera))].sort();
  const left = Math.min(width * 0.3, 24 + 7.4 * Math.max(...cameras.map((name) => (name || "no camera").length)));
  const [first, last] = [sightings[0].time, sightings.at(-1).time];
  const room = width - left - 2 * EDGE;
  const x = (time) => left + EDGE + (last > first ? (room * (time - first)) / (last - first) : room / 2);
  const y = (camera) => ROW * (cameras.indexOf(camera) + 0.5);
  const height = ROW * cameras.length;
  const most = Math.floor((left - 12) / 7.4);
  const shorten = (name) => (name.length > most ? `${name.slice(0, most - 1)}…` : name);
  const span = `${when(first)} to ${when(last)}`;
  const missing = records.length - sightings.length;
  return replace(
    element,
    s(
      "svg",
      {
        viewBox: `0 0 ${width} ${height + AXIS}`,
        role: "img",
        "aria-label": `${counted(sightings.length, "sighting")}, ${counted(cameras.length, "camera")}, ${span}`,
      },
      cameras.map((camera) => [
        s("text", { class: "camera", x: 0, y: y(camera) + 4 }, shorten(camera || "no camera"), s("title", {}, camera)),
        s("path", { class: "grid", d: `M${left} ${y(camera)}H${width}` }),
      ]),
      ticks(first, last, room).map(({ time, text }) => [
        s("path", { class: "grid", d: `M${x(time)} 0V${height}` }),
        s("text", { class: "middle", x: x(time), y: height + 20 }, text),
      ]),
      s("path", { class: "way", d: way(sightings.map(({ time, camera }) => [x(time), y(camera)])) }),
      sightings.map(({ time, camera, at }) =>
        s(
          "circle",
          { class: "sighting", cx: x(time), cy: y(camera), r: 6.5, onclick: () => open(at) },
          s("title", {}, `${camera || "no camera"}, ${when(time)}`),
        ),
      ),
    ),
    missing > 0 && h("p", { class: "soft" }, `${counted(missing, "record")} without a time: see the table.`),
  );
}

/** A line through points that leaves and reaches each of them level. */
function way(points) {
  return points
    .map(([x, y], at) => {
      if (!at) return `M${x} ${y}`;
      const [before, above] = points[at - 1];
      const bend = (x - before) / 2;
      return `C${before + bend} ${above} ${x - bend} ${y} ${x} ${y}`;
    })
    .join("");
}

export function ticks(first, last, room) {
  const step = STEPS.find((one) => ((last - first) / one) * 96 <= room) ?? (last - first) / 4;
  const zone = new Date(first * 1000).getTimezoneOffset() * 60;
  const found = [];
  for (let time = Math.ceil((first - zone) / step) * step + zone; time <= last; time += step) {
    const midnight = (time - zone) % 86400 === 0;
    found.push({ time, text: midnight || step >= 86400 ? day(time) : clock(time) });
  }
  return found.length ? found : [{ time: first, text: when(first) }];
}
