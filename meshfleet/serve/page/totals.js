// One line of sums: how many of what, and what it has used.

import { burnPerHour } from "./burn.js";
import { h, keyed, mark, say } from "./dom.js";
import { tally } from "./fleet.js";
import { count, duration, exact, money } from "./format.js";
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
    cost(totals, burn, now),
  ];
  keyed(document.getElementById("totals"), groups, (group) => group.name, makeGroup);
}

const calm = (name, text) => ({ name, glyph: "", text, tone: "calm" });

/** Agents whose status is not among the others, since it is from before. */
function lost({ by_presence: presences }) {
  const number = (presences.unreachable ?? 0) + (presences.down ?? 0);
  return number ? [{ name: "lost", glyph: "◌", text: `${number} out of reach`, tone: "warn" }] : [];
}

/** What the period has cost is what is paid; where no ledger tells of it, what the sessions say that are there. */
export function cost({ cost_usd: sessions, period, today }, burn, now) {
  const spent = burn === null ? [] : [calm("burn", `${money(burn)} / h`)];
  if ((today?.cost_usd ?? null) !== null) spent.unshift(calm("today", `${money(today.cost_usd)} today`));
  if (period.cost_usd === null) return { name: "Cost of these sessions", value: money(sessions), parts: spent };
  const title = `the sessions that are there: ${money(sessions)}`;
  return { name: `Cost since ${period.start}`, value: money(period.cost_usd), title, parts: [...spent, ...pace(period, now.wall)] };
}

const DAY_MS = 86_400_000;

/** What the period comes to at the pace that it had so far, and whether the budget lasts. Its first day says too little. */
export function pace({ start, end, cost_usd: cost, budget_usd: budget }, wall) {
  const [from, to] = [Date.parse(start), Date.parse(end ?? "")];
  const parts = budget === null || budget === undefined ? [] : [calm("budget", `of ${money(budget)}`)];
  if (!(wall - from >= DAY_MS && wall < to)) return parts;
  const perMs = cost / (wall - from);
  const warn = (text) => [...parts, { name: "pace", glyph: "▲", text, tone: "warn" }];
  if (parts.length && cost >= budget) return warn("used up");
  if (parts.length && from + budget / perMs < to) return warn(`at this pace used up in ${duration((budget - cost) / perMs / 1000)}`);
  return [...parts, calm("pace", `≈ ${money(perMs * (to - from))} by ${end.slice(5)}`)];
}

function used({ start, tokens_in: input, tokens_out: output }) {
  if (input === null && output === null) return [];
  return [calm("period", `${count(input)} / ${count(output)} since ${start.slice(5)}`)];
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
