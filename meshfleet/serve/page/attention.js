// What a person should look at, worst first, by the node's rules: each a sentence that leads to whom it is about.

import { addressOf } from "./address.js";
import { h, keyed, mark, say, show } from "./dom.js";
import { agentOf, nodeOf } from "./fleet.js";
import { duration } from "./format.js";

const SHOWN = 8;

/** Show them. Returns how many there are. */
export function showAttention(view, now) {
  const items = attention(view, now);
  keyed(document.getElementById("attention-list"), items.slice(0, SHOWN), (item) => item.key, makeItem);
  const none = document.getElementById("attention-none");
  show(none, items.length === 0 || items.length > SHOWN);
  show(document.getElementById("attention"), items.length > 0 || view.agents.length > 0);
  say(none, items.length ? `and ${items.length - SHOWN} more` : "✓ Nobody. All agents get on by themselves.");
  return items.length;
}

const SEVERITY = {
  critical: { tone: "bad", glyph: "✖" },
  warning: { tone: "warn", glyph: "▲" },
  info: { tone: "calm", glyph: "○" },
};

/** All that needs a person, as {key, address, tone, glyph, name, text}. How the serving node stands has its banner, and
 * agents that are out of reach with their node are told of with it. */
export function attention(view, now) {
  const gone = new Set(view.attention.filter((notice) => notice.rule === "presence").map((notice) => notice.subject));
  return view.attention
    .filter(({ rule, subject }) => rule !== "standing" && !(rule === "presence" && gone.has(agentOf(view, subject)?.node)))
    .map((notice) => told(notice, view, now));
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
