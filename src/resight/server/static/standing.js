// What holds for all sections: what the key may do, the decision, the cameras and the names.

import { all, get } from "./api.js";
import { $, h } from "./dom.js";
import { say } from "./notice.js";

export const standing = { scopes: [], keysNeeded: false, decision: null, cameras: {}, people: [], records: 0 };

export const may = (scope) => standing.scopes.includes(scope);

/** Ask the service for all of it; the event "standing" tells who shows it. */
export async function refresh() {
  const { scopes, keys_needed: keysNeeded } = await get("me");
  Object.assign(standing, { scopes, keysNeeded });
  if (may("read")) {
    const [decision, cameras, people, stats] = await Promise.all([
      get("decision"),
      all("cameras", "cameras", "after"),
      all("identities", "identities", "after"),
      get("stats"),
    ]);
    Object.assign(standing, { decision, cameras, people, records: stats.records });
  }
  for (const element of document.querySelectorAll("[data-scope]")) element.hidden = !may(element.dataset.scope);
  $("known-cameras").replaceChildren(
    ...Object.keys(standing.cameras)
      .filter(Boolean)
      .map((name) => h("option", { value: name })),
  );
  $("known-names").replaceChildren(...standing.people.map(({ name }) => h("option", { value: name })));
  document.dispatchEvent(new Event("standing"));
}

const followers = [];

/** Call this, and wait for it, whenever the gallery was changed. */
export const onChange = (call) => followers.push(call);

/** After the gallery was changed: ask anew, let whatever is shown follow, and say so; `undo` takes the change back. */
export async function changed(sentence, undo = null) {
  await refresh();
  await Promise.all(followers.map((call) => call()));
  say(sentence, undo);
}
