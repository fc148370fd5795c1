// What the page says: short news in the bar at the top, errors below it until they are closed.

import { $ } from "./dom.js";

let fading;

/** News, spoken by screen readers and shown for some seconds; longer where they can be undone. */
export function say(sentence, undo = null) {
  clearTimeout(fading);
  $("said").textContent = sentence;
  $("said").title = sentence;
  $("undo").hidden = !undo;
  $("undo").onclick = async () => {
    $("undo").hidden = true; // once
    $("main").focus({ preventScroll: true });
    await shown(undo);
  };
  if (sentence) fading = setTimeout(() => say(""), undo ? 30_000 : 6000);
}

/** An error, in the service's own sentence; null takes it away. */
export function complain(error) {
  if (error?.name === "AbortError" || error?.status === 401) return; // the key dialog asks instead
  $("notice").hidden = !error;
  $("notice").firstElementChild.textContent = error?.message ?? "";
}

$("notice")
  .querySelector("button")
  .addEventListener("click", () => {
    complain(null);
    $("main").focus();
  });

/** Run something whose errors are to be shown at the top. */
export async function shown(action) {
  try {
    complain(null);
    return await action();
  } catch (error) {
    complain(error);
    return undefined;
  }
}
