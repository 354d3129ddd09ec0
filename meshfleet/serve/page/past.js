// The last hours of an agent, as the serving node remembers them.

import { CONTEXT_HIGH } from "./context.js";
import { h } from "./dom.js";
import { count, duration, money, percent } from "./format.js";
import { spark, timeline } from "./spark.js";
import { look, STATUS } from "./words.js";

/** {element, tell(history)}; null: the node has none. */
export function past() {
  const element = h("div", { class: "past" }, h("p", { class: "quiet" }, "Asking the node…"));
  let shown = "";
  return {
    element,
    tell(history) {
      const state = history === null ? "none" : `${history.start} ${history.status.length}`;
      if (state === shown) return;
      shown = state;
      element.replaceChildren(...(history === null ? [h("p", { class: "quiet" }, "This node remembers nothing of it.")] : drawn(history)));
    },
  };
}

function drawn({ step_s: step, context_pct: context, cost_usd: cost, tokens, status, presence }) {
  if (status.length < 2) return [h("p", { class: "quiet" }, `It is remembered from now on: a point each ${duration(step)}.`)];
  const over = duration(status.length * step);
  const burn = pace(tokens, step);
  const parts = [];
  const add = (name, now, drawing) => parts.push(h("figure", {}, h("figcaption", {}, name, " ", h("span", { class: "value" }, now)), drawing));
  const last = (values) => values.findLast((value) => value !== null) ?? null;
  if (known(context)) {
    const words = `context over the last ${over}: from ${percent(first(context))} to ${percent(last(context))}, at most ${percent(most(context))}`;
    add("context", percent(last(context)), spark(context, { low: 0, high: 100, words, level: CONTEXT_HIGH }));
  }
  if (known(cost)) {
    const words = `cost over the last ${over}: from ${money(first(cost))} to ${money(last(cost))}`;
    add("cost", money(last(cost)), spark(cost, { words }));
  }
  if (known(burn)) {
    const words = `tokens a minute over the last ${over}: at most ${count(Math.round(most(burn)))}`;
    add("tokens / min", `${count(Math.round(last(burn)))} now, ${count(Math.round(most(burn)))} at most`, spark(burn, { low: 0, words }));
  }
  const seen = status.map((word, i) => (presence[i] === "fresh" || presence[i] === "stale" ? word : null));
  add("status", "", timeline(seen, `status over the last ${over}: ${shares(seen, step)}`, (word) => look(STATUS, word).tone));
  parts.push(h("p", { class: "axis" }, h("span", {}, `${over} ago`), h("span", {}, "now")), h("p", { class: "quiet" }, shares(seen, step)));
  return parts;
}

const known = (values) => values.some((value) => value !== null);
const first = (values) => values.find((value) => value !== null) ?? null;
const most = (values) => Math.max(...values.filter((value) => value !== null));

/** Tokens a minute between each point and the one before it. */
function pace(tokens, step) {
  return tokens.map((value, i) => {
    const before = i ? tokens[i - 1] : null;
    return value === null || before === null || value < before ? null : ((value - before) * 60) / step;
  });
}

function shares(words, step) {
  const counts = new Map();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return [...counts]
    .sort((a, b) => b[1] - a[1])
    .map(([word, number]) => `${word === null ? "out of reach" : `${look(STATUS, word).glyph} ${look(STATUS, word).word}`} ${duration(number * step)}`)
    .join(" · ");
}
