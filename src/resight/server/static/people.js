// All people with a name.

import { mergePeople, personPage } from "./actions.js";
import { get, thumbnail } from "./api.js";
import { $, h, replace } from "./dom.js";
import { between, count, counted } from "./format.js";
import { may, standing } from "./standing.js";

const MOST = 300; // rows
const chosen = new Set();

export function showPeople() {
  chosen.clear();
  list();
}

function list() {
  const looked = $("people-find").value.trim().toLocaleLowerCase();
  const people = standing.people.filter(({ name }) => name.toLocaleLowerCase().includes(looked));
  const all = counted(standing.people.length, "person", "people");
  const fitting = looked ? `${count(people.length)} of ${all}` : all;
  const rest = people.length > MOST ? `; the first ${MOST} are shown, find others by their names` : "";
  $("people-says").textContent = standing.people.length
    ? fitting + rest
    : "There are no names yet: select records and name them.";
  replace($("people-list"), people.slice(0, MOST).map(row));
  offer();
}

function row({ name, records, cameras, first, last }) {
  const image = h("img", { alt: "" });
  cover(image, name);
  return h(
    "li",
    { "data-id": name },
    may("write") &&
      h("input", {
        type: "checkbox",
        "aria-label": `Select ${name}`,
        checked: chosen.has(name),
        onchange: ({ target }) => {
          if (target.checked) chosen.add(name);
          else chosen.delete(name);
          offer();
        },
      }),
    h(
      "a",
      { href: personPage(name) },
      image,
      h(
        "span",
        {},
        h("b", {}, name),
        h("span", { class: "place" }, `${counted(records, "record")}, ${counted(cameras.length, "camera")}`),
        h("span", { class: "place" }, between(first, last)),
      ),
    ),
  );
}

/** A person's picture: that of the first record. */
const covers = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    covers.unobserve(target);
    get("records", { identity: names.get(target), limit: 1 })
      .then(({ records }) => records.length && thumbnail(target, records[0].id))
      .catch(() => target.classList.add("missing"));
  }
});
const names = new WeakMap();

function cover(image, name) {
  names.set(image, name);
  covers.observe(image);
}

function offer() {
  const bar =
    $("people-merge") ??
    h("div", { id: "people-merge", class: "merge", role: "region", "aria-label": "Selected people" });
  $("people-list").before(bar);
  bar.hidden = chosen.size < 2;
  replace(
    bar,
    h("p", {}, counted(chosen.size, "person", "people"), " selected"),
    h("button", { type: "button", class: "main", onclick: () => mergePeople([...chosen]) }, "Merge…"),
  );
}

$("people-find").addEventListener("input", list);
