// The picture of tracks: cameras as rows, time as columns, a bar per track. One tab stop; the arrow keys go on from it.

import { thumbnail } from "./api.js";
import { h, replace, s } from "./dom.js";
import { UNKNOWN, counted, exactly, when } from "./format.js";
import { ticks } from "./timeline.js";

const LANE = 20; // pixels; tracks of one camera at once are beneath one another
const GAP = 14;
const AXIS = 26;
const LETTER = 7.4;
const THINNEST = 6;

/** The colour of an identity, always the same; neighbours in the list of names differ. */
export function colour(identity) {
  if (identity == null) return "var(--edge)";
  let number = 0;
  for (const letter of identity) number = (31 * number + letter.codePointAt(0)) % 9973;
  return `hsl(${Math.round(number * 137.508) % 360} 58% 52%)`;
}

/** Draw {record, begin, end} by time into an element; a click or Enter opens one. */
export function drawTracks(element, tracks, open) {
  const width = element.clientWidth;
  const timed = tracks.map((track, at) => ({ ...track, at })).filter(({ record }) => record.time != null);
  if (!timed.length)
    return replace(element, tracks.length > 0 && h("p", { class: "soft" }, "None of the tracks has a time."));
  const rows = lanes(timed);
  const left = Math.min(width * 0.3, 24 + LETTER * Math.max(...rows.map(({ camera }) => (camera || "no camera").length)));
  const first = Math.min(...timed.map(({ begin }) => begin));
  const last = Math.max(...timed.map(({ end }) => end));
  const room = width - left - 12;
  const x = (time) => left + (last > first ? (room * (time - first)) / (last - first) : 0);
  const height = rows.reduce((sum, { depth }) => sum + depth * LANE + GAP, 0);
  const peek = h("div", { class: "peek", hidden: true });
  const bars = [];
  let top = 0;
  const drawn = rows.map(({ camera, own, depth }) => {
    const start = top;
    top += depth * LANE + GAP;
    return [
      s("text", { class: "camera", x: 0, y: start + 15 }, shorten(camera || "no camera", left), s("title", {}, camera)),
      s("path", { class: "grid", d: `M0 ${top - GAP / 2}H${width}` }),
      own.map(({ record, begin, end, at, lane }) => {
        const wide = Math.max(THINNEST, x(end) - x(begin));
        const name = record.identity ?? UNKNOWN;
        const bar = s(
          "g",
          {
            class: "track",
            role: "button",
            tabindex: "-1",
            "data-id": record.id,
            "aria-label": `${name}, ${camera || "no camera"}, ${exactly(begin)}, ${(end - begin).toFixed(1)} seconds`,
            onclick: () => open(at),
            onkeydown: (event) => steer(event, bars, bar, () => open(at)),
            onpointerenter: () => show(peek, element, bar, record, begin, end),
            onfocus: () => show(peek, element, bar, record, begin, end),
            onpointerleave: () => (peek.hidden = true),
            onblur: () => (peek.hidden = true),
          },
          s("rect", { x: x(begin), y: start + lane * LANE + 2, width: wide, height: LANE - 4, rx: 4, fill: colour(record.identity) }),
          wide > LETTER * name.length + 8 &&
            s("text", { class: "who", x: x(begin) + 5, y: start + lane * LANE + 14 }, name),
        );
        bars.push({ bar, begin, camera });
        return bar;
      }),
    ];
  });
  bars.sort((a, b) => a.begin - b.begin);
  bars[0].bar.setAttribute("tabindex", "0");
  return replace(
    element,
    s(
      "svg",
      {
        viewBox: `0 0 ${width} ${height + AXIS}`,
        role: "group",
        "aria-label": `${counted(timed.length, "track")}, ${counted(rows.length, "camera")}, ${when(first)} to ${when(last)}. The arrow keys go from track to track.`,
      },
      ticks(first, last, room).map(({ time, text }) => [
        s("path", { class: "grid", d: `M${x(time)} 0V${height}` }),
        s("text", { class: "middle", x: x(time), y: height + 20 }, text),
      ]),
      drawn,
    ),
    peek,
  );
}

/** Each camera with its tracks, in as many lanes as there are tracks at once. */
function lanes(tracks) {
  const cameras = [...new Set(tracks.map(({ record }) => record.camera))].sort();
  return cameras.map((camera) => {
    const ends = [];
    const own = tracks
      .filter(({ record }) => record.camera === camera)
      .sort((a, b) => a.begin - b.begin)
      .map((track) => {
        let lane = ends.findIndex((end) => end < track.begin);
        if (lane < 0) lane = ends.length;
        ends[lane] = track.end;
        return { ...track, lane };
      });
    return { camera, own, depth: ends.length };
  });
}

function shorten(name, left) {
  const most = Math.floor((left - 12) / LETTER);
  return name.length > most ? `${name.slice(0, most - 1)}…` : name;
}

/** Left and right go to the track before and after, up and down to the nearest in time of another camera. */
function steer(event, bars, bar, open) {
  const { key } = event;
  if (key === "Enter" || key === " ") {
    event.preventDefault();
    return open();
  }
  const at = bars.findIndex((one) => one.bar === bar);
  let next = null;
  if (key === "ArrowRight") next = bars[at + 1];
  else if (key === "ArrowLeft") next = bars[at - 1];
  else if (key === "Home") next = bars[0];
  else if (key === "End") next = bars.at(-1);
  else if (key === "ArrowUp" || key === "ArrowDown") {
    const cameras = [...new Set(bars.map(({ camera }) => camera))].sort();
    const other = cameras[cameras.indexOf(bars[at].camera) + (key === "ArrowUp" ? -1 : 1)];
    const apart = (one) => Math.abs(one.begin - bars[at].begin);
    next = bars.filter(({ camera }) => camera === other).sort((a, b) => apart(a) - apart(b))[0];
  } else return;
  event.preventDefault();
  if (!next) return;
  bar.setAttribute("tabindex", "-1");
  next.bar.setAttribute("tabindex", "0");
  next.bar.focus();
}

/** The picture of a track above or below its bar. */
function show(peek, element, bar, record, begin, end) {
  const image = thumbnail(h("img", { alt: "" }), record.id);
  replace(
    peek,
    image,
    h("b", {}, record.identity ?? UNKNOWN),
    h("span", { class: "place" }, record.camera || "no camera"),
    h("span", { class: "place" }, `${exactly(begin)}, ${(end - begin).toFixed(1)} s`),
  );
  peek.hidden = false;
  const [box, around] = [bar.getBoundingClientRect(), element.getBoundingClientRect()];
  const left = Math.max(0, Math.min(box.left - around.left, around.width - peek.offsetWidth));
  peek.style.left = `${left}px`;
  peek.style.top = `${box.bottom - around.top + 6}px`;
}
