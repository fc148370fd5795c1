// Forms that say which records count, and what of it goes into a request.

import { $, h, replace } from "./dom.js";
import { seconds } from "./format.js";
import { standing } from "./standing.js";

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
