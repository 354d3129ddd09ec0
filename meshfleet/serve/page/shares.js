// How many agents use which: a bar in parts, and the same in words beside it.

import { h, keyed, mark, say, show } from "./dom.js";

const SHOWN = 7;

/** Fill the section `id` with what `counts` says of each name. */
export function showShares(id, counts) {
  const all = Object.entries(counts).sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  show(document.getElementById(id), all.length > 0);
  const rest = all.slice(SHOWN).reduce((sum, [, number]) => sum + number, 0);
  const most = all[0]?.[1] ?? 1;
  const parts = all.slice(0, SHOWN).map(([name, number]) => ({ name, number, most }));
  if (rest) parts.push({ name: `${all.length - SHOWN} others`, number: rest, most });
  keyed(document.getElementById(`${id}-bar`), parts, (part) => part.name, makePart);
}

function makePart(first) {
  const fill = h("span", { class: "fill" });
  const number = h("span", { class: "count" });
  const element = h(
    "div",
    { class: "share-row" },
    h("span", { class: "label", title: first.name }, first.name),
    h("span", { class: "bar", "aria-hidden": "true" }, fill),
    number,
  );
  return {
    element,
    update(part) {
      const width = `${Math.min(100, Math.round((100 * part.number) / part.most))}%`;
      if (fill.style.width !== width) fill.style.width = width;
      say(number, String(part.number));
      mark(element, "data-many", part.number);
    },
  };
}
