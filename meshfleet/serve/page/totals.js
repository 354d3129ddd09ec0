// One line of sums: how many of what, and what it has used.

import { burnPerHour } from "./burn.js";
import { h, keyed, mark, say } from "./dom.js";
import { tally } from "./fleet.js";
import { count, exact, money } from "./format.js";
import { look, PRESENCE, STATUS } from "./words.js";

const STATUS_ORDER = ["waiting", "error", "rate_limited", "working", "tool", "starting", "idle", "exited"];
const PRESENCE_ORDER = ["fresh", "stale", "unreachable", "down", "left"];

export function showTotals(view, now) {
  const { totals } = view;
  const burn = burnPerHour(view, now);
  const nodes = tally(view.nodes.map((node) => node.presence));
  const groups = [
    { name: "Agents", value: String(totals.agents), parts: [...parts(totals.by_status, STATUS_ORDER, STATUS), ...lost(totals)] },
    { name: "Nodes", value: String(view.nodes.length), parts: parts(nodes, PRESENCE_ORDER, PRESENCE) },
    { name: "Tokens in / out", value: `${count(totals.tokens_in)} / ${count(totals.tokens_out)}`,
      title: `${exact(totals.tokens_in)} in, ${exact(totals.tokens_out)} out`, parts: used(totals.period) },
    { name: "Cost of these sessions", value: money(totals.cost_usd), parts: burn === null ? [] : [calm("burn", `${money(burn)} / h`)] },
    ...(totals.period.cost_usd === null ? [] : [{ name: `Cost since ${totals.period.start}`, value: money(totals.period.cost_usd), parts: [] }]),
  ];
  keyed(document.getElementById("totals"), groups, (group) => group.name, makeGroup);
}

const calm = (name, text) => ({ name, glyph: "", text, tone: "calm" });

/** Agents whose status is not among the others, since it is from before. */
function lost({ by_presence: presences }) {
  const number = (presences.unreachable ?? 0) + (presences.down ?? 0);
  return number ? [{ name: "lost", glyph: "◌", text: `${number} out of reach`, tone: "warn" }] : [];
}

function used({ start, tokens_in: input, tokens_out: output }) {
  if (input === null && output === null) return [];
  return [calm("period", `${count(input)} / ${count(output)} since ${start}`)];
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
