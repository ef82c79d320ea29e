// Builds elements. All text is set as text, never as markup, so nothing from outside can become an element.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes and children. A child that is a string or a number becomes text; null and false are left out. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** Replaces the content of an element. */
export function put(element, ...children) {
  element.replaceChildren(...nodes(children));
  return element;
}

/** Calls `draw` only when `data` differs from the last call for this element, so that a selection or the focus in it stays. */
export function putIfChanged(element, data, draw) {
  const now = JSON.stringify(data);
  if (drawn.get(element) !== now) {
    drawn.set(element, now);
    put(element, draw());
  }
}

const drawn = new WeakMap();

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.startsWith("--")) element.style.setProperty(name, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...nodes(children));
  return element;
}

function nodes(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}
