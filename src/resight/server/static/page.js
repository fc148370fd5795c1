// Which section is shown, by the part of the address after #, and the key.

import { addPictures } from "./add.js";
import { key } from "./api.js";
import { ask } from "./ask.js";
import { showCalibrate } from "./calibrate.js";
import { $ } from "./dom.js";
import { complain, shown } from "./notice.js";
import { showPeople } from "./people.js";
import { showPerson } from "./person.js";
import { unpick } from "./picked.js";
import * as records from "./records.js";
import * as search from "./search.js";
import { may, onChange, refresh, standing } from "./standing.js";
import { showWatch } from "./watch.js";

const SECTIONS = ["search", "people", "person", "records", "watch", "calibrate"];
let follow = () => {}; // what to do when the gallery changed
let visited = false;

function route() {
  const [path, query] = location.hash.split("?");
  const [, place, argument] = path.split("/");
  const of = decode(argument);
  unpick();
  complain(null);
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close(); // it was about another section
  if (place === "people" && of)
    show(
      "person",
      of,
      () => showPerson(of),
      () => showPerson(of),
    );
  else if (place === "people") show("people", "People", showPeople, showPeople);
  else if (place === "records") show("records", "Records", () => records.showRecords(), records.again);
  else if (place === "watch") show("watch", "Watch", showWatch, showWatch);
  else if (place === "calibrate") show("calibrate", "Calibrate", showCalibrate, () => {});
  else show("search", "Search", () => search.enter(place === "like" ? of : "", new URLSearchParams(query)), search.again);
}

function show(name, title, enter, again) {
  follow = again;
  for (const section of SECTIONS) $(section).hidden = section !== name;
  document.title = `${title} – resight`;
  const link = name === "person" ? "people" : name;
  for (const item of document.querySelectorAll("nav a")) {
    if (item.dataset.section === link) item.setAttribute("aria-current", "page");
    else item.removeAttribute("aria-current");
  }
  if (visited) {
    $(`${name}-title`).focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  visited = true;
  if (may("read")) enter();
}

function decode(text = "") {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

/** Ask for the key, which this tab keeps until it is closed. */
function askKey() {
  if (document.querySelector("#ask[open] input[name=key]")) return;
  ask({
    title: "API key required",
    text: [
      key.get()
        ? "The service does not accept the key of this tab."
        : "This service requires a key. It is kept in this tab until you close it.",
    ],
    fields: [{ name: "key", label: "Key", type: "password" }],
    confirm: "Go on",
    async act(values) {
      key.set(values.key.trim());
      await refresh();
      if (!may("read") && !may("write")) throw new Error("The service does not know this key.");
      showKey();
      route();
    },
  });
}

function showKey() {
  $("key-open").hidden = !standing.keysNeeded;
}

document.addEventListener("key-wanted", askKey);
onChange(() => follow());
addEventListener("hashchange", route);
$("key-open").addEventListener("click", askKey);
$("add-open").addEventListener("click", () => addPictures());
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  $("main").focus();
});

search.start();
await shown(refresh);
showKey();
route();
if (standing.keysNeeded && !standing.scopes.length) askKey();
