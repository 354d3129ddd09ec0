// Elements without markup strings: whatever an agent calls itself is text here, never HTML.

/** An element with attributes and children. A string child becomes text; null is left out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Show `text`, and touch the page only if it is news. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Set or, with null, remove an attribute, and touch the page only if it is news. */
export function mark(element, name, value) {
  if (value === null) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
  } else if (element.getAttribute(name) !== String(value)) {
    element.setAttribute(name, value);
  }
}

/** Hide or show. */
export function show(element, shown) {
  if (element.hidden === shown) element.hidden = !shown;
}

// Not a property of the element: a table's body has its own `rows`.
const ROWS = new WeakMap();

/**
 * Make the children of `parent` one for each item, in their order, and keep those that exist: selection, focus and
 * scroll position stay. `make(item)` returns {element, update(item, now)}.
 */
export function keyed(parent, items, keyOf, make, now) {
  const known = ROWS.get(parent) ?? new Map();
  ROWS.set(parent, known);
  const wanted = new Set(items.map(keyOf));
  for (const [key, row] of known) {
    if (!wanted.has(key)) {
      row.element.remove();
      known.delete(key);
    }
  }
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    let row = known.get(key);
    if (row === undefined) known.set(key, (row = make(item)));
    if (row.element === place) place = place.nextElementSibling;
    else parent.insertBefore(row.element, place);
    row.update(item, now);
  }
}
