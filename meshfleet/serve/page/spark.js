// Small drawings of a figure over time. Each has its words beside it, for who does not see it.

import { s } from "./dom.js";

const [WIDTH, HEIGHT] = [360, 44];

/**
 * A line through `values`, null where nothing is known, from `low` to `high` (null: as the values have it). `words` says
 * what it shows.
 */
export function spark(values, { low = null, high = null, words, level = null }) {
  const known = values.filter((value) => value !== null);
  const bottom = low ?? Math.min(...known);
  const span = Math.max(1e-9, (high ?? Math.max(...known)) - bottom);
  const x = (i) => (values.length < 2 ? WIDTH : (i * WIDTH) / (values.length - 1));
  const y = (value) => HEIGHT - 3 - ((value - bottom) / span) * (HEIGHT - 6);
  let path = "";
  let pen = "M";
  values.forEach((value, i) => {
    if (value === null) {
      pen = "M";
    } else {
      path += `${pen}${x(i).toFixed(1)} ${y(value).toFixed(1)}`;
      // A single point between two gaps would be nothing.
      if (pen === "M" && (values[i + 1] ?? null) === null) path += "h1";
      pen = "L";
    }
  });
  const lines = level === null ? [] : [s("line", { class: "level", x1: 0, x2: WIDTH, y1: y(level), y2: y(level) })];
  return s(
    "svg",
    { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": words },
    ...lines,
    s("path", { d: path || "M0 0" }),
  );
}

/** Stretches of the same word, as [word, from, to) of the indices; null words are gaps. */
export function stretches(words) {
  const found = [];
  words.forEach((word, i) => {
    const last = found[found.length - 1];
    if (last && last[0] === word) last[2] = i + 1;
    else found.push([word, i, i + 1]);
  });
  return found;
}

const PATTERNS = { working: 1, tool: 0.8, starting: 0.6, waiting: 1, error: 1, rate_limited: 0.8, idle: 0.25, exited: 0.12 };

/** What it did when: a bar whose parts differ in height as well as in colour. */
export function timeline(words, label, toneOf) {
  const svg = s("svg", { class: "timeline", viewBox: `0 0 ${WIDTH} 22`, preserveAspectRatio: "none", role: "img", "aria-label": label });
  for (const [word, from, to] of stretches(words)) {
    if (word === null) continue;
    const height = 22 * (PATTERNS[word] ?? 0.5);
    const left = (from * WIDTH) / words.length;
    svg.append(s("rect", { x: left, width: ((to - from) * WIDTH) / words.length, y: 22 - height, height, "data-tone": toneOf(word) }, s("title", {}, word)));
  }
  return svg;
}
