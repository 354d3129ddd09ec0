// The heading of a group of agents: its name, and what they come to.

import { h, mark, say } from "./dom.js";
import { count, money, percent, plural } from "./format.js";
import { look, STATUS } from "./words.js";

const ORDER = ["waiting", "error", "rate_limited", "working", "tool", "starting", "idle", "exited"];

/** A row over all columns: {element, update(group)}. `onToggle(id)`: when somebody opens or closes it. */
export function groupRow(first, onToggle) {
  const arrow = h("span", { class: "arrow", "aria-hidden": "true" });
  const name = h("span", { class: "title" });
  const button = h("button", { type: "button", class: "toggle" }, arrow, name);
  const words = h("span", { class: "sums" });
  let id = first.id;
  button.addEventListener("click", () => onToggle(id));
  const element = h("tr", { role: "row", class: "group-row" }, h("td", { role: "cell", "aria-colspan": "8" }, button, words));
  return {
    element,
    update(group) {
      id = group.id;
      say(arrow, group.closed ? "▸" : "▾");
      say(name, group.name);
      mark(button, "aria-expanded", String(!group.closed));
      say(words, sums(group));
    },
  };
}

function sums(group) {
  const statuses = ORDER.filter((status) => group.statuses[status]);
  return [
    plural(group.agents, "agent"),
    ...statuses.map((status) => `${look(STATUS, status).glyph} ${group.statuses[status]} ${look(STATUS, status).word}`),
    group.lost ? `◌ ${group.lost} out of reach` : null,
    group.fullest === null ? null : `fullest context ${percent(group.fullest)}`,
    group.tokens_in === null && group.tokens_out === null ? null : `${count(group.tokens_in)} in / ${count(group.tokens_out)} out`,
    group.cost_usd === null ? null : money(group.cost_usd),
  ].filter(Boolean).join(" · ");
}
