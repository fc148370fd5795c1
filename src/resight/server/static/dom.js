// Elements. Text only ever becomes text nodes, whatever is in it.

const SVG = "http://www.w3.org/2000/svg";

/** The element of an id. */
export const $ = (id) => document.getElementById(id);

/** An HTML element: attributes (`onclick` and the like are listeners, true is an empty attribute), then children. */
export const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);

/** An SVG element, made the same way. */
export const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/** One of the icons that stand in index.html. */
export const icon = (name) => s("svg", { "aria-hidden": "true" }, s("use", { href: `#i-${name}` }));

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

/** Put new children into an element; a focus inside goes to what has the same `data-id` now, or to the heading. */
export function replace(element, ...children) {
  const id = element.contains(document.activeElement) && document.activeElement.closest("[data-id]")?.dataset.id;
  element.replaceChildren(...children.flat(Infinity).filter((child) => child != null && child !== false));
  if (!id) return;
  const same = element.querySelector(`[data-id="${CSS.escape(id)}"] button`);
  (same ?? element.closest("section").querySelector("h1")).focus({ preventScroll: true });
}

/** `call` a moment after the last of many calls. */
export function later(milliseconds, call) {
  let waiting;
  return (...values) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => call(...values), milliseconds);
  };
}
