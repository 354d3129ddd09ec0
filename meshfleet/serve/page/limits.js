// What each API key has left, the fullest first, when it begins anew, and whether it lasts until then.

import { h, keyed, mark, say, show } from "./dom.js";
import { headroom } from "./fleet.js";
import { duration, moment, percent, plural, UNKNOWN } from "./format.js";

const SHOWN = 6;
const HIGH = 90;
const MIDDLE = 70;

export function showLimits(view, now) {
  const limits = headroom(view);
  show(document.getElementById("limits"), limits.length > 0);
  keyed(document.getElementById("limits-list"), limits.slice(0, SHOWN), (limit) => limit.name, makeLimit, now);
}

/** One window of one key: {element, update(limit, now)}. */
export function makeLimit(first) {
  const [share, reset] = [h("span", { class: "share" }), h("span", { class: "reset" })];
  const fill = h("span", { class: "fill" });
  const label = `${first.key}, ${first.window}`;
  const bar = h("span", { class: "bar", role: "meter", "aria-label": label, "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": "0" }, fill);
  const out = h("span", { class: "out" });
  const element = h("li", {}, h("span", { class: "key" }, h("span", { class: "of" }, first.key), " ", h("span", { class: "window" }, first.window)), bar, share, reset, out);
  return {
    element,
    update(limit, now) {
      const pct = limit.used_pct;
      const level = pct === null ? "unknown" : pct >= HIGH ? "high" : pct >= MIDDLE ? "middle" : "low";
      mark(bar, "data-level", level);
      mark(share, "data-level", level);
      mark(bar, "aria-valuenow", pct === null ? 0 : Math.round(Math.min(100, Math.max(0, pct))));
      mark(bar, "aria-valuetext", pct === null ? "not known" : `${percent(pct)} used`);
      const width = `${pct === null ? 0 : Math.min(100, Math.max(0, pct))}%`;
      if (fill.style.width !== width) fill.style.width = width;
      say(share, pct === null ? UNKNOWN : `${level === "high" ? "▲ " : ""}${percent(pct)}`);
      say(reset, resets(limit, now));
      const seconds = runsOut(limit, now.wall);
      say(out, seconds === null ? "" : seconds > 0 ? `▲ at this pace used up in ${duration(seconds)}` : "▲ at this pace used up by now");
      mark(element, "title", limit.agents ? `${plural(limit.agents, "agent")} with this key` : null);
    },
  };
}

function resets(limit, now) {
  if (limit.resets_at === null) return "";
  const at = Date.parse(limit.resets_at);
  if (Number.isNaN(at)) return "";
  const left = (at - now.wall) / 1000;
  return left > 0 ? `resets in ${duration(left)}` : `was to reset at ${moment(at, now.wall)}`;
}

const WINDOW = /^(\d+)\s*([mhdw])$/;
const SECONDS = { m: 60, h: 3_600, d: 86_400, w: 604_800 };

/** Seconds until all is used, if it goes on as it went from the window's begin until it was read; null where it begins anew
 * before that, or nobody can tell. */
export function runsOut(limit, wall) {
  const [, number, unit] = WINDOW.exec(limit.window.trim()) ?? [];
  const resets = Date.parse(limit.resets_at);
  if (unit === undefined || Number.isNaN(resets) || !limit.used_pct) return null;
  const begin = resets - 1000 * number * SECONDS[unit];
  const read = Math.min(wall, Date.parse(limit.read_at ?? "") || wall);
  if (read <= begin || wall >= resets) return null;
  const full = begin + ((read - begin) * 100) / limit.used_pct;
  return full < resets ? Math.max(0, (full - wall) / 1000) : null;
}
