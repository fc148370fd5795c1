// Forms that say which records count, what of it goes into a request, and into the page's address.

import { $, h, replace } from "./dom.js";
import { local, seconds } from "./format.js";
import { standing } from "./standing.js";

const DEFAULT_K = "24"; // as index.html has it
const ANYBODY = [
  ["", "Anybody"],
  ["unknown", "Only unknown"],
  ["named", "Only named"],
];

/** What a form with any of `camera`, `exclude_camera`, `after`, `before` and `who` asks for, as the API's fields. */
export function wanted(form) {
  const content = new FormData(form);
  const who = content.get("who") ?? "";
  return {
    camera: content.getAll("camera"),
    exclude_camera: content.getAll("exclude_camera"),
    after: seconds(content.get("after")),
    before: seconds(content.get("before")),
    identity: who.startsWith("=") ? [who.slice(1)] : [],
    unknown: who === "unknown" ? true : who === "named" ? false : null,
  };
}

/** How many of them are set. */
export function set(where) {
  return Object.values(where).filter((value) => value !== null && value?.length !== 0).length;
}

/** Offer the cameras and names there are, keeping what was chosen. */
function offer() {
  const cameras = Object.keys(standing.cameras).filter(Boolean).sort();
  for (const fieldset of document.querySelectorAll("[data-cameras]")) {
    const chosen = new Set([...fieldset.querySelectorAll("input:checked")].map((box) => box.value));
    const { cameras: name } = fieldset.dataset;
    fieldset.hidden = !cameras.length;
    replace(
      fieldset,
      fieldset.querySelector("legend"),
      cameras.map((camera) =>
        h(
          "label",
          {},
          h("input", { type: "checkbox", name, value: camera, checked: chosen.has(camera) }),
          h("span", {}, camera),
        ),
      ),
    );
  }
  const names = standing.people.map(({ name }) => [`=${name}`, name]);
  for (const select of document.querySelectorAll("select[data-names]")) choose(select, [...ANYBODY, ...names]);
  for (const select of document.querySelectorAll("select[data-camera]")) {
    choose(select, [["", "All"], ...cameras.map((camera) => [camera, camera])]);
  }
}

function choose(select, options) {
  const { value } = select;
  select.replaceChildren(...options.map(([of, text]) => h("option", { value: of }, text)));
  select.value = value;
  if (select.selectedIndex < 0) select.selectedIndex = 0;
}

document.addEventListener("standing", offer);

export const searchWanted = () => wanted($("filter-form"));

/** The address of a place with the filters of the search as they are. */
export function address(place, more = {}) {
  const { camera, exclude_camera, after, before } = searchWanted();
  const { who, k, rerank, other_cameras } = $("filter-form").elements;
  const query = new URLSearchParams(more);
  for (const one of camera) query.append("camera", one);
  for (const one of exclude_camera) query.append("exclude_camera", one);
  if (after !== null) query.set("after", after);
  if (before !== null) query.set("before", before);
  if (who.value) query.set("who", who.value);
  if (k.value !== DEFAULT_K) query.set("k", k.value);
  for (const { name, checked } of [rerank, other_cameras]) if (checked) query.set(name, "1");
  return `#/${place}${query.size ? `?${query}` : ""}`;
}

/** Set the filters of the search as an address says. */
export function follow(query) {
  const form = $("filter-form");
  for (const box of form.querySelectorAll("[data-cameras] input")) {
    box.checked = query.getAll(box.name).includes(box.value);
  }
  const { after, before, who, k, rerank, other_cameras } = form.elements;
  for (const field of [after, before]) {
    const at = query.get(field.name);
    field.value = at !== null && Number.isFinite(Number(at)) ? local(Number(at)) : "";
  }
  for (const [select, fallback] of [
    [who, ""],
    [k, DEFAULT_K],
  ]) {
    select.value = query.get(select.name) ?? fallback;
    if (select.selectedIndex < 0) select.value = fallback;
  }
  for (const box of [rerank, other_cameras]) box.checked = query.has(box.name);
}

/** Only a camera or without it: one takes the other back. A time after which nothing can be before is refused. */
$("filter-form").addEventListener("input", ({ target }) => {
  if (target.closest("[data-cameras]") && target.checked) {
    const other = target.name === "camera" ? "exclude_camera" : "camera";
    for (const box of document.querySelectorAll(`#filter-form [name=${other}]`))
      if (box.value === target.value) box.checked = false;
  }
});

/** Whether records can fit at all; the browser says what is wrong where none can. */
export function possible(form) {
  const { after, before } = form.elements;
  const wrong = after.value && before.value && after.value >= before.value;
  before.setCustomValidity(wrong ? "This must be later than the time of “Seen after”." : "");
  return form.reportValidity();
}
