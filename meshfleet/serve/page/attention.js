// What a person should look at, worst first: each a sentence that leads to its row.

import { h, keyed, mark, say, show } from "./dom.js";
import { clock, duration, moment, percent, plural } from "./format.js";
import { ageOf, runningFor } from "./clockwork.js";

/** From where a context counts as nearly full: what is left of a 200k window is less than one long file. */
export const CONTEXT_HIGH = 85;
/** A tool that runs longer than this is worth a look: builds and test suites mostly end before. */
const LONG_TOOL_S = 600;

const SHOWN = 12;

export function rowId(kind, name) {
  return `${kind}:${name}`;
}

export function showAttention(view, now) {
  const items = attention(view, now);
  keyed(document.getElementById("attention-list"), items.slice(0, SHOWN), (item) => item.key, makeItem);
  const none = document.getElementById("attention-none");
  show(none, items.length === 0 || items.length > SHOWN);
  show(document.getElementById("attention"), items.length > 0 || view.agents.length > 0);
  say(none, items.length ? `and ${items.length - SHOWN} more` : "Nobody. All agents get on by themselves.");
  return items.length;
}

/** All that needs a person, as {key, href, tone, glyph, name, text}, worst first. */
export function attention(view, now) {
  const gone = new Set();
  const items = [];
  for (const node of view.nodes) {
    if (node.presence !== "down" && node.presence !== "unreachable") continue;
    gone.add(node.name);
    items.push(nodeItem(node, now));
  }
  for (const agent of view.agents) {
    const told = agentItem(agent, now, gone);
    if (told !== null) items.push({ ...told, key: rowId("agent", agent.agent_id), name: agent.agent_id });
  }
  return items.sort((a, b) => a.rank - b.rank || (a.key < b.key ? -1 : 1));
}

function nodeItem(node, now) {
  const sure = node.certainty ? ` (${node.certainty})` : "";
  const carried = node.agents.length ? `, with ${plural(node.agents.length, "agent")}` : "";
  const why = node.reasons.length ? `: ${node.reasons[0]}` : "";
  const down = node.presence === "down";
  return {
    key: rowId("node", node.name),
    name: node.name,
    rank: down ? 1 : 3,
    tone: down ? "bad" : "warn",
    glyph: down ? "✖" : "◌",
    text: `node is ${node.presence}${sure} for ${duration(ageOf(node, now))}${carried}${why}`,
  };
}

function agentItem(agent, now, gone) {
  const { state } = agent;
  if (agent.presence === "left" || state.status === "exited") {
    if (!state.exit_code) return null;
    return { rank: 5, tone: "warn", glyph: "■", text: `ended with exit code ${state.exit_code}` };
  }
  if (agent.presence === "down" || agent.presence === "unreachable") {
    if (gone.has(agent.node)) return null; // told with its node
    return { rank: 2, tone: "bad", glyph: "✖", text: `is ${agent.presence}: ${agent.reasons[0] ?? "no word of it"}` };
  }
  const since = state.note ? `: ${state.note}` : "";
  if (state.status === "waiting") return { rank: 0, tone: "warn", glyph: "▲", text: `waits for a person${since}` };
  if (state.status === "error") return { rank: 0, tone: "bad", glyph: "✖", text: `reports an error${since}` };
  if (state.status === "rate_limited") return { rank: 2, tone: "warn", glyph: "◑", text: `is rate limited${resets(state)}` };
  if (state.context_pct !== null && state.context_pct >= CONTEXT_HIGH) {
    const left = state.context_full_in_s === null ? "" : `, about ${duration(state.context_full_in_s)} left`;
    return { rank: 4, tone: "bad", glyph: "◕", text: `context is ${percent(state.context_pct)} full${left}` };
  }
  const running = state.active_tool_since ? runningFor(state.active_tool_since, agent, now) : null;
  if (running !== null && running > LONG_TOOL_S) {
    return { rank: 6, tone: "warn", glyph: "◆", text: `${state.active_tool ?? "a tool"} has been running for ${clock(running)}` };
  }
  return null;
}

function resets(state) {
  const full = state.rate_limits.find((limit) => limit.resets_at !== null && (limit.used_pct ?? 0) >= 100);
  return full ? `, until ${full.window} resets at ${moment(Date.parse(full.resets_at))}` : "";
}

function makeItem(item) {
  const glyph = h("span", { class: "glyph", "aria-hidden": "true" });
  const name = h("a", { class: "name", href: `#${encodeURIComponent(item.key)}` });
  const text = h("span", { class: "text" });
  const element = h("li", {}, glyph, name, text);
  return {
    element,
    update(told) {
      say(glyph, told.glyph);
      say(name, told.name);
      say(text, told.text);
      mark(element, "data-tone", told.tone);
    },
  };
}
