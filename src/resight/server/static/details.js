// One record with all that is known about it, beside the picture that was asked about; and the ones before and after.

import { eraseRecords, nameRecords, personPage, splitRecords } from "./actions.js";
import { thumbnail } from "./api.js";
import { slug, title, verdict } from "./cards.js";
import { $, h, icon, replace } from "./dom.js";
import { address } from "./filters.js";
import { UNKNOWN, distance, exactly } from "./format.js";
import { may } from "./standing.js";

const dialog = $("details");

let step = () => {}; // to another record of the list
let opened = null; // the id of the record that is shown

/**
 * Open one of several records.
 *
 * @param {object[]} list {record, hit?, decision?}
 * @param {number} at which
 * @param {() => Node} asked makes the picture asked about, where there is one
 */
export function showDetails(list, at, asked = null) {
  const { record, hit, decision } = list[at];
  opened = record.id;
  step = (by) => list[at + by] && showDetails(list, at + by, asked);
  const act = (action) => () => {
    dialog.close();
    action([record]);
  };
  const go = (hash) => () => {
    dialog.close();
    location.hash = hash;
  };
  const facts = [
    ["Camera", record.camera || "not known"],
    ["Seen", exactly(record.time)],
    ["Source", record.source || "not known"],
    ["Box", record.box?.join(", ")],
    ["Kept because", record.basis || "not stated"],
    ["Kept until", record.expires == null ? "no end" : exactly(record.expires)],
    ["Added", exactly(record.added)],
    ["Record", record.id],
  ];
  const own = thumbnail(h("img", { alt: title(record) }), record.id);
  replace(
    dialog,
    h(
      "div",
      { class: "heading" },
      h("h2", { id: "details-title", tabindex: "-1" }, record.identity ?? UNKNOWN),
      h(
        "div",
        { class: "turn" },
        list.length > 1 && [
          turner("Previous", "back", -1, at === 0),
          h("span", { class: "place" }, `${at + 1} of ${list.length}`),
          turner("Next", "on", 1, at === list.length - 1),
        ],
        h(
          "button",
          { type: "button", class: "bare", "aria-label": "Close", onclick: () => dialog.close() },
          icon("close"),
        ),
      ),
    ),
    h(
      "div",
      { class: "beside" },
      h(
        "div",
        { class: "pictures" },
        asked && h("figure", {}, asked(), h("figcaption", {}, "asked about")),
        h("figure", {}, own, asked && h("figcaption", {}, "this record")),
      ),
      h(
        "div",
        {},
        hit &&
          h(
            "p",
            { class: "line", "data-decision": decision && slug(decision) },
            decision && verdict(decision),
            h("span", {}, "distance ", h("b", {}, distance(hit.distance))),
          ),
        h(
          "dl",
          {},
          facts.map(([term, text]) => text && h("div", {}, h("dt", {}, term), h("dd", {}, text))),
        ),
      ),
    ),
    h(
      "div",
      { class: "actions" },
      h("button", { type: "button", class: "main", onclick: go(address(`like/${record.id}`)) }, "Find more like this"),
      record.identity && h("button", { type: "button", onclick: go(personPage(record.identity)) }, "Timeline"),
      may("write") &&
        (record.identity
          ? h("button", { type: "button", onclick: act(splitRecords) }, "Split off…")
          : h("button", { type: "button", onclick: act(nameRecords) }, "Name…")),
      may("erase") && h("button", { type: "button", class: "danger", onclick: act(eraseRecords) }, "Erase…"),
    ),
  );
  if (!dialog.open) dialog.showModal();
  $("details-title").focus();
}

const turner = (label, name, by, disabled) =>
  h("button", { type: "button", class: "bare", "aria-label": label, disabled, onclick: () => step(by) }, icon(name));

dialog.addEventListener("keydown", (event) => {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!by) return;
  event.preventDefault();
  step(by);
});

// The focus goes back to the record that was shown last, where that is not the one that was opened first; to that the
// browser has given it already, and since then somebody may have pressed Tab.
dialog.addEventListener("close", () => {
  const last = document.querySelector(`main > section:not([hidden]) .card[data-id="${CSS.escape(opened)}"]`);
  const now = document.activeElement?.closest(".card");
  if (now && now !== last) last?.querySelector("button").focus();
});

dialog.addEventListener("click", (event) => event.target === dialog && dialog.close()); // beside it
