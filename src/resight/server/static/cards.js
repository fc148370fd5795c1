// Records as cards in a grid: a picture, the decision where there is one, who, where and when.

import { thumbnail } from "./api.js";
import { h, icon, replace } from "./dom.js";
import { UNKNOWN, distance, when } from "./format.js";
import { isPicked, pick } from "./picked.js";
import { may } from "./standing.js";

export const slug = (decision) => decision.replace(" ", "-");

/** Who, where and when, in words. */
export const title = ({ identity, camera, time }) =>
  [identity ?? UNKNOWN, camera || "no camera", when(time)].join(", ");

/** The decision as an icon and a word, so that colour is never alone. */
export const verdict = (decision) => h("span", { class: "verdict" }, icon(slug(decision)), decision);

/**
 * Show records in a list.
 *
 * @param {HTMLOListElement} list
 * @param {object[]} shown {record, hit?, decision?} in order
 * @param {(at: number) => void} open what a click does
 */
export function showCards(list, shown, open) {
  const pictures = [];
  replace(
    list,
    shown.map(({ record, hit, decision }, at) => {
      const image = thumbnail(h("img", { alt: "" }), record.id);
      pictures.push(image);
      return h(
        "li",
        { class: "card", "data-id": record.id, "data-decision": decision && slug(decision) },
        h(
          "button",
          { type: "button", onclick: () => open(at) },
          h("span", { class: "frame" }, image),
          decision && h("span", { class: "line" }, verdict(decision)),
          h("span", { class: record.identity ? "name" : "name soft" }, record.identity ?? UNKNOWN),
          h("span", { class: "place camera" }, record.camera || "no camera"),
          h("span", { class: "place" }, when(record.time)),
          hit && h("span", { class: "place" }, `distance ${distance(hit.distance)}`),
        ),
        (may("write") || may("erase")) &&
          h(
            "label",
            { class: "pick" },
            h("input", {
              type: "checkbox",
              checked: isPicked(record),
              "aria-label": `Select ${title(record)}`,
              onchange: ({ target }) => pick(record, target.checked),
            }),
          ),
      );
    }),
  );
  pictures[0]?.addEventListener("load", () => {
    const { naturalWidth, naturalHeight } = pictures[0];
    list.style.setProperty("--shape", Math.min(1.5, Math.max(0.5, naturalWidth / naturalHeight)));
  });
}

/** Other decisions on the same cards, after the threshold moved. */
export function recolour(list, decisions) {
  [...list.children].forEach((item, at) => {
    if (item.dataset.decision === slug(decisions[at])) return;
    item.dataset.decision = slug(decisions[at]);
    item.querySelector(".verdict").replaceWith(verdict(decisions[at]));
  });
}
