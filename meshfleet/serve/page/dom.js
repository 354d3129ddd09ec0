// Elements without markup strings: whatever an agent calls itself is text here, never HTML.

/** An element with attributes and children. A string child becomes text; null is left out. */
export function h(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same, of SVG. */
export function s(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Show `text`, and touch the page only if it is news. */
export function say(element, text) {
  // Asking a text node for its text costs a tenth of asking its element.
  const first = element.firstChild;
  if (first !== null && first === element.lastChild && first.nodeType === Node.TEXT_NODE) {
    if (first.data !== text) first.data = text;
  } else if (element.textContent !== text) {
    element.textContent = text;
  }
}

/** Set or, with null, remove an attribute, and touch the page only if it is news. */
export function mark(element, name, value) {
  if (value === null || value === undefined) {
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
  for (const [row, item] of placed(parent, items, keyOf, make)) row.update(item, now);
}

/** The same, with the updates left to the caller: [row, item] of each, in order. */
export function placed(parent, items, keyOf, make) {
  const known = ROWS.get(parent) ?? new Map();
  ROWS.set(parent, known);
  const wanted = new Set(items.map(keyOf));
  for (const [key, row] of known) {
    if (wanted.has(key)) continue;
    row.element.remove();
    row.gone?.();
    known.delete(key);
  }
  let at = 0;
  for (const child of parent.children) PLACES.set(child, at++);
  const rows = [];
  for (const item of items) {
    const key = keyOf(item);
    let row = known.get(key);
    if (row === undefined) known.set(key, (row = make(item)));
    rows.push([row, item]);
  }
  put(parent, rows);
  return rows;
}

const PLACES = new WeakMap();

/** Move as few elements as possible: those on the longest run that is in order already stay where they are. */
function put(parent, rows) {
  const places = rows.map(([row]) => (row.element.parentNode === parent ? PLACES.get(row.element) : -1));
  if (places.length === parent.childElementCount && places.every((place, i) => place === i)) return;
  const stays = longestRising(places);
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  let next = null;
  for (let i = rows.length - 1; i >= 0; i -= 1) {
    const { element } = rows[i][0];
    if (!stays.has(i)) parent.insertBefore(element, next);
    next = element;
  }
  // An element that is moved loses the focus on the way.
  if (focused !== null && document.activeElement !== focused) focused.focus({ preventScroll: true });
}

/** The indices of a longest rising run of numbers from 0 up (patience sorting). */
function longestRising(numbers) {
  const tails = [];
  const before = new Array(numbers.length).fill(-1);
  for (let i = 0; i < numbers.length; i += 1) {
    if (numbers[i] < 0) continue;
    let [low, high] = [0, tails.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (numbers[tails[middle]] < numbers[i]) low = middle + 1;
      else high = middle;
    }
    before[i] = low > 0 ? tails[low - 1] : -1;
    tails[low] = i;
  }
  const run = new Set();
  for (let i = tails.length ? tails[tails.length - 1] : -1; i >= 0; i = before[i]) run.add(i);
  return run;
}
