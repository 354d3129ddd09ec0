// One line of sums: how many of what, and what it has used.

import { h, keyed, mark, say } from "./dom.js";
import { count, exact, money } from "./format.js";
import { look, PRESENCE, STATUS } from "./words.js";

const STATUS_ORDER = ["waiting", "error", "rate_limited", "working", "tool", "starting", "idle", "exited"];
const PRESENCE_ORDER = ["fresh", "stale", "unreachable", "down", "left"];

export function showTotals(view) {
  const { totals } = view;
  const nodes = tally(view.nodes.map((node) => node.presence));
  const groups = [
    { name: "Agents", value: String(totals.agents), parts: parts(totals.by_status, STATUS_ORDER, STATUS) },
    { name: "Nodes", value: String(view.nodes.length), parts: parts(nodes, PRESENCE_ORDER, PRESENCE) },
    { name: "Tokens in", value: count(totals.tokens_in), title: exact(totals.tokens_in), parts: [] },
    { name: "Tokens out", value: count(totals.tokens_out), title: exact(totals.tokens_out), parts: [] },
    { name: "Cost", value: money(totals.cost_usd), parts: period(totals.period) },
  ];
  keyed(document.getElementById("totals"), groups, (group) => group.name, makeGroup);
}

function period({ start, cost_usd: cost }) {
  return cost === null ? [] : [{ name: "period", glyph: "", text: `${money(cost)} since ${start}`, tone: "calm" }];
}

function tally(words) {
  const counts = {};
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}

function parts(counts, order, words) {
  const names = [...order.filter((name) => counts[name]), ...Object.keys(counts).filter((name) => !order.includes(name))];
  return names.map((name) => {
    const { glyph, word, tone } = look(words, name);
    return { name, glyph, text: `${counts[name]} ${word}`, tone };
  });
}

function makeGroup() {
  const name = h("span", { class: "name" });
  const value = h("span", { class: "value" });
  const list = h("span", { class: "parts" });
  const element = h("div", { class: "total" }, name, value, list);
  return {
    element,
    update(group) {
      say(name, group.name);
      say(value, group.value);
      mark(value, "title", group.title ?? null);
      keyed(list, group.parts, (part) => part.name, makePart);
    },
  };
}

function makePart() {
  const glyph = h("span", { class: "glyph", "aria-hidden": "true" });
  const text = h("span");
  const element = h("span", { class: "part" }, glyph, text);
  return {
    element,
    update(part) {
      say(glyph, part.glyph);
      say(text, part.text);
      mark(element, "data-tone", part.tone);
    },
  };
}
