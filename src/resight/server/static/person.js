// One person: a timeline over the cameras, the same as a table, and the records.

import { erasePerson, mergePerson, renamePerson } from "./actions.js";
import { all } from "./api.js";
import { showCards } from "./cards.js";
import { showDetails } from "./details.js";
import { $, h, replace } from "./dom.js";
import { between, counted, exactly } from "./format.js";
import { shown } from "./notice.js";
import { may, standing } from "./standing.js";
import { drawTimeline } from "./timeline.js";

let records = [];
const listed = () => records.map((record) => ({ record }));

export async function showPerson(name) {
  records = (await shown(() => all("timeline", "records", "after_id", { identity: name }))) ?? [];
  $("person-title").textContent = name;
  const timed = records.filter(({ time }) => time != null);
  const cameras = new Set(records.map(({ camera }) => camera));
  const span = timed.length ? `, ${between(timed[0].time, timed.at(-1).time)}` : "";
  $("person-says").textContent = `${counted(records.length, "record")}, ${counted(cameras.size, "camera")}${span}`;
  const button = (word, act, style) => h("button", { type: "button", class: style, onclick: act }, word);
  replace(
    $("person-actions"),
    records.length > 0 && [
      may("write") && button("Rename…", () => renamePerson(name)),
      may("write") && standing.people.length > 1 && button("Merge…", () => mergePerson(name)),
      may("erase") && button("Erase…", () => erasePerson(name, records.length), "danger"),
    ],
  );
  const open = (at) => showDetails(listed(), at);
  draw(open);
  replace(
    $("timeline-rows"),
    records.map((record, at) =>
      h(
        "tr",
        {},
        h("td", {}, exactly(record.time)),
        h("td", {}, record.camera || "not known"),
        h("td", {}, record.source || "not known"),
        h(
          "td",
          {},
          button(`Open ${record.id.slice(0, 8)}`, () => open(at), "bare"),
        ),
      ),
    ),
  );
  showCards(
    $("person-cards"),
    listed(),
    open,
  );
}

function draw(open) {
  drawTimeline($("timeline"), records, open);
}

new ResizeObserver(() => $("person").hidden || draw((at) => showDetails(listed(), at))).observe(
  $("timeline"),
);
