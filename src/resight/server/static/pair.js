// Two records side by side, and the question whether they show the same one: the keys S, D and U answer it.

import { thumbnail } from "./api.js";
import { $, h } from "./dom.js";
import { UNKNOWN, exactly } from "./format.js";

const KEYS = { s: "same", d: "different", u: "unsure" };

/** A record's picture with its name, camera and time below; `what` is it. */
export const side = (record, what) =>
  h(
    "figure",
    {},
    thumbnail(h("img", { alt: `The ${what} of ${record.identity ?? UNKNOWN} at ${record.camera || "no camera"}` }), record.id),
    h(
      "figcaption",
      {},
      h("b", {}, record.identity ?? UNKNOWN),
      h("span", { class: "place" }, record.camera || "no camera"),
      h("span", { class: "place" }, exactly(record.time)),
    ),
  );

/** Let the buttons `NAME-same`, `NAME-different`, `NAME-unsure` and, while the section is shown, the keys answer. */
export function onAnswer(name, section, answer) {
  for (const word of Object.values(KEYS)) $(`${name}-${word}`).addEventListener("click", () => answer(word));
  document.addEventListener("keydown", (event) => {
    const word = KEYS[event.key.toLowerCase()];
    const typing = event.target.closest("input, select, textarea, dialog");
    if (!word || $(section).hidden || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    answer(word);
  });
}
