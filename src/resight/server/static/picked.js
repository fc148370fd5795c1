// The records that are selected, and what can be done with them at once.

import { eraseRecords, nameRecords, splitRecords } from "./actions.js";
import { $, h } from "./dom.js";
import { counted } from "./format.js";
import { may, onChange } from "./standing.js";

const picked = new Map(); // by id

export const isPicked = (record) => picked.has(record.id);

export function pick(record, wanted) {
  if (wanted) picked.set(record.id, record);
  else picked.delete(record.id);
  show();
}

/** Select nothing. */
export function unpick() {
  picked.clear();
  for (const box of document.querySelectorAll(".pick input:checked")) box.checked = false;
  show();
}

function show() {
  const records = [...picked.values()];
  const names = new Set(records.map(({ identity }) => identity));
  const button = (word, act, style) => h("button", { type: "button", class: style, onclick: () => act(records) }, word);
  $("picked").hidden = !records.length;
  $("picked-says").textContent = `${counted(records.length, "record")} selected`;
  $("picked-actions").replaceChildren(
    ...[
      may("write") && names.has(null) && button("Name…", nameRecords, "main"),
      may("write") && names.size === 1 && !names.has(null) && button("Split off…", splitRecords),
      may("erase") && button("Erase…", eraseRecords, "danger"),
      button("Select none", unpick, "bare"),
    ].filter(Boolean),
  );
}

onChange(unpick);
