// The service's JSON, with the key of this tab. Errors are the sentences the service said.

const BASE = new URL("api/", document.baseURI);
const KEPT = "resight-key";

export const key = {
  get: () => sessionStorage.getItem(KEPT) ?? "",
  set: (value) => (value ? sessionStorage.setItem(KEPT, value) : sessionStorage.removeItem(KEPT)),
};

/** What the service answered when it did not do what it was asked. */
class ApiError extends Error {
  constructor(sentence, status) {
    super(sentence);
    this.status = status;
  }
}

const pause = (seconds) => new Promise((go) => setTimeout(go, 1000 * seconds));

async function send(path, { query = {}, patience = 2, ...options } = {}) {
  const url = new URL(path, BASE);
  for (const [name, value] of Object.entries(query))
    if (value != null && value !== "") url.searchParams.append(name, value);
  const headers = { ...options.headers, ...(key.get() && { Authorization: `Bearer ${key.get()}` }) };
  let response;
  try {
    response = await fetch(url, { ...options, headers, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The service does not respond: check whether it is still running.", 0);
  }
  if (response.ok) return response;
  if ([429, 503].includes(response.status) && !options.method && patience) {
    await pause(Math.min(5, Number(response.headers.get("Retry-After")) || 1)); // too much at once: a little later then
    return send(path, { query, patience: patience - 1, ...options });
  }
  const said = await response.json().catch(() => null);
  if (response.status === 401) document.dispatchEvent(new Event("key-wanted"));
  throw new ApiError(said?.error ?? `The service responded with status ${response.status}.`, response.status);
}

export const get = async (path, query, signal) => (await send(path, { query, signal })).json();

/** All pages of a list that the service gives a page at a time: an array, or an object of counts. */
export async function all(path, list, after, query = {}) {
  let found = null;
  let next = null;
  do {
    const answer = await get(path, { ...query, [after]: next });
    const page = answer[list];
    if (found === null) found = page;
    else if (Array.isArray(page)) found.push(...page);
    else Object.assign(found, page);
    next = answer.next;
  } while (next !== null);
  return found;
}

export const post = async (path, content, signal) =>
  (
    await send(path, {
      method: "POST",
      signal,
      ...(content instanceof FormData
        ? { body: content }
        : { body: JSON.stringify(content), headers: { "Content-Type": "application/json" } }),
    })
  ).json();

/** A form of all values that are there; an array becomes a repeated field. */
export function form(values) {
  const content = new FormData();
  for (const [name, value] of Object.entries(values)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one != null && one !== "") content.append(name, one);
  }
  return content;
}

/** Show a record's thumbnail in an image; the class "missing" where there is none. It is asked for once it is near. */
export function thumbnail(image, id) {
  near.observe(image);
  wanted.set(image, id);
  return image;
}

const wanted = new WeakMap();
const near = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      load(target, wanted.get(target));
    }
  },
  { rootMargin: "400px" },
);

async function load(image, id) {
  try {
    const picture = await (await send(`records/${encodeURIComponent(id)}/thumbnail`)).blob();
    const url = URL.createObjectURL(picture);
    image.addEventListener("load", () => URL.revokeObjectURL(url), { once: true });
    image.src = url;
  } catch {
    image.classList.add("missing");
  }
}
