// One record with all that is known about it, beside the picture that was asked about.

import { eraseRecords, nameRecords, personPage, splitRecords } from "./actions.js";
import { thumbnail } from "./api.js";
import { slug, title, verdict } from "./cards.js";
import { $, h, icon, replace } from "./dom.js";
import { UNKNOWN, distance, exactly } from "./format.js";
import { may } from "./standing.js";

const dialog = $("details");

/** Open it: a record; for a result also the hit, its decision and a function that makes the picture asked about. */
export function showDetails({ record, hit, decision, asked }) {
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
        "button",
        { type: "button", class: "bare", "aria-label": "Close", onclick: () => dialog.close() },
        icon("close"),
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
      h("button", { type: "button", class: "main", onclick: go(`#/like/${record.id}`) }, "Find more like this"),
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

dialog.addEventListener("click", (event) => event.target === dialog && dialog.close()); // beside it
