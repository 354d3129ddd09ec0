// What a person should look at, worst first, by the node's rules: each a sentence that leads to whom it is about.

import { addressOf } from "./address.js";
import { h, keyed, mark, say, show } from "./dom.js";
import { agentOf, nodeOf } from "./fleet.js";
import { duration } from "./format.js";

const SHOWN = 6;

const more = document.getElementById("attention-more");
let all = false;
more.addEventListener("click", () => {
  all = !all;
  if (latest !== null) showAttention(...latest);
});
let latest = null;

/** Show them. Returns how many there are. */
export function showAttention(view, now) {
  latest = [view, now];
  const items = attention(view, now);
  // One line says that there is one more, or is it.
  const shown = all || items.length <= SHOWN + 1 ? items.length : SHOWN;
  keyed(document.getElementById("attention-list"), items.slice(0, shown), (item) => item.key, makeItem);
  const none = document.getElementById("attention-none");
  show(none, items.length === 0);
  show(more, items.length > SHOWN + 1);
  mark(more, "aria-expanded", String(all));
  say(more, all ? "show fewer" : `and ${items.length - shown} more`);
  show(document.getElementById("attention"), items.length > 0 || view.agents.length > 0);
  say(none, "✓ Nobody. All agents get on by themselves.");
  return items.length;
}

const SEVERITY = {
  critical: { tone: "bad", glyph: "✖" },
  warning: { tone: "warn", glyph: "▲" },
  info: { tone: "calm", glyph: "○" },
};

/** All that needs a person, as {key, address, tone, glyph, name, text}. How the serving node stands has its banner. */
export function attention(view, now) {
  return unfolded(view)
    .filter(({ rule }) => rule !== "standing")
    .map((notice) => told(notice, view, now));
}

/** The node's notices; agents that are out of reach with their node are told of with it. */
export function unfolded(view) {
  const gone = new Set(view.attention.filter((notice) => notice.rule === "presence").map((notice) => notice.subject));
  return view.attention.filter(({ rule, subject }) => !(rule === "presence" && gone.has(agentOf(view, subject)?.node)));
}

function told(notice, view, now) {
  const since = (now.wall - Date.parse(notice.since)) / 1000;
  const { subject } = notice;
  const address = agentOf(view, subject) ? { agent: subject } : nodeOf(view, subject) ? { node: subject } : null;
  return {
    ...(SEVERITY[notice.severity] ?? SEVERITY.warning),
    key: notice.key,
    address,
    name: subject,
    text: Number.isNaN(since) ? notice.text : `${notice.text} · for ${duration(Math.max(0, since))}`,
  };
}

function makeItem(item) {
  const glyph = h("span", { class: "glyph", "aria-hidden": "true" });
  const name = item.address === null ? h("span", { class: "name" }) : h("a", { class: "name", href: addressOf(item.address) });
  const text = h("span", { class: "text" });
  const element = h("li", {}, glyph, name, text);
  return {
    element,
    update(now) {
      say(glyph, now.glyph);
      say(name, now.name);
      say(text, now.text);
      mark(element, "data-tone", now.tone);
    },
  };
}
