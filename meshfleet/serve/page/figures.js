// A list of figures, each with its name and where it comes from.

import { h, keyed, mark, say, show } from "./dom.js";

/** {element, update(rows)}: rows are [name, value, source], null in place of one leaves it out. */
export function figures(label) {
  const element = h("dl", { class: "figures", "aria-label": label });
  return {
    element,
    update(rows) {
      keyed(element, rows.filter((row) => row !== null), ([name]) => name, makeFigure);
    },
  };
}

function makeFigure([name]) {
  const value = h("span", { class: "value" });
  const source = h("span", { class: "source" });
  const element = h("div", {}, h("dt", {}, name), h("dd", {}, value, " ", source));
  return {
    element,
    update([, told, from]) {
      say(value, told);
      say(source, from ?? "");
      show(source, Boolean(from));
      mark(element, "data-none", told === "–" ? "" : null);
    },
  };
}

/** A heading with what is under it. */
export function part(title, ...children) {
  return h("section", { class: "part-of" }, h("h3", {}, title), ...children);
}
