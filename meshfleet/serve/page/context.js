// How full an agent's context is: a bar, the number, and where it goes.

import { h, mark, say } from "./dom.js";
import { count, duration, percent, UNKNOWN } from "./format.js";

/** From where on it is yellow, and red: as the node's rules of attention have it, unless its configuration says otherwise. */
const CONTEXT_MIDDLE = 70;
export const CONTEXT_HIGH = 90;
/** Less than this a minute is no trend. */
const FLAT = 0.05;

/** The word for a fill, which the style has a colour for. */
export function levelOf(pct) {
  if (pct === null) return "unknown";
  return pct >= CONTEXT_HIGH ? "high" : pct >= CONTEXT_MIDDLE ? "middle" : "low";
}

/** A bar that can be told an agent's state. */
export function contextBar() {
  const fill = h("span", { class: "fill" });
  const bar = h("span", { class: "bar", role: "meter", "aria-label": "context", "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": "0" }, fill);
  const share = h("span", { class: "share" });
  const words = h("span", { class: "under" });
  return {
    element: h("span", { class: "meter" }, bar, share, words),
    tell(state) {
      const pct = state.context_pct;
      const level = levelOf(pct);
      mark(bar, "data-level", level);
      mark(share, "data-level", level);
      mark(bar, "aria-valuenow", pct === null ? 0 : Math.round(Math.min(100, Math.max(0, pct))));
      mark(bar, "aria-valuetext", pct === null ? "not known" : percent(pct));
      const width = pct === null ? 0 : Math.min(100, Math.max(0, Math.round(pct * 2) / 2));
      mark(bar, "data-width", width);
      if (fill.style.width !== `${width}%`) fill.style.width = `${width}%`;
      say(share, pct === null ? UNKNOWN : `${level === "high" ? "▲ " : ""}${percent(pct)}`);
      const told = contextWords(state);
      say(words, told);
      mark(words, "title", told || null);
    },
  };
}

/** `full in 24 min · ↗ 1.2 %/min · 86k of 200k`, as far as it is known: what matters most first, for the room may end. */
export function contextWords(state) {
  const words = [];
  if (state.context_full_in_s !== null) words.push(`full in ${duration(state.context_full_in_s)}`);
  const trend = state.context_trend_pct_per_min;
  if (trend !== null && Math.abs(trend) >= FLAT) {
    words.push(`${trend > 0 ? "↗" : "↘"} ${Math.abs(trend).toFixed(1)} %/min`);
  }
  if (state.context_tokens !== null) {
    words.push(state.context_limit === null ? count(state.context_tokens) : `${count(state.context_tokens)} of ${count(state.context_limit)}`);
  }
  return words.join(" · ");
}
