// One agent: a dense, aligned row, or the same as a card. Who is out of reach keeps the last known state, greyed, with its age.

import { addressOf } from "./address.js";
import { badge } from "./badge.js";
import { ageOf, runningFor } from "./clockwork.js";
import { contextBar } from "./context.js";
import { h, mark, say } from "./dom.js";
import { isKnown, nodeOf } from "./fleet.js";
import { clock, count, duration, exact, money, UNKNOWN } from "./format.js";
import { PRESENCE, STATUS } from "./words.js";

/** From where a clock that differs is worth a word. */
const SKEW_MS = 1_000;

export function cell(label, className, ...children) {
  return h("td", { role: "cell", "data-label": label, class: className }, ...children);
}

/** A row: {element, update(agent, now, view, depth)}. */
export function agentRow(first) {
  const element = h("tr", { role: "row", class: "agent-row" });
  return { element, update: filled(element, first.agent_id) };
}

/** Put the cells into the row. Returns what tells them anew. */
function filled(element, agentId) {
  const status = badge(STATUS);
  const presence = badge(PRESENCE);
  const text = () => h("span", { class: "main" });
  const under = () => h("span", { class: "under" });
  const [name, project, model, runtime] = [agentName(agentId), under(), text(), under()];
  const [input, output, cost, burnt, tool, running, carrier] = [text(), text(), text(), under(), text(), under(), under()];
  const context = contextBar();
  const nested = h("span", { class: "nested", "aria-hidden": "true" });
  element.append(
    cell("Status", "status", status.element),
    cell("Agent", "agent", h("span", { class: "main" }, nested, name), project),
    cell("Model", "model", model, runtime),
    cell("Context", "context", context.element),
    cell("Tokens in / out", "number tokens", input, h("span", { class: "slash", "aria-hidden": "true" }, " / "), output, burnt),
    cell("Cost", "number cost", cost),
    cell("Active tool", "tool", tool, running),
    cell("Presence", "presence", presence.element, carrier),
  );
  return (agent, now, view, depth) => {
    const { state } = agent;
    mark(element, "data-presence", agent.presence);
    say(nested, depth ? `${"  ".repeat(depth - 1)}└ ` : "");
    status.tell(state.status, isKnown(agent) || state.status === "exited" ? "" : "was ");
    say(project, [state.project, state.parent ? `of ${state.parent}` : null].filter(Boolean).join(" · "));
    say(model, state.model ?? UNKNOWN);
    say(runtime, state.runtime);
    context.tell(state);
    tellCount(input, state.tokens_in, "tokens in, cache included");
    tellCount(output, state.tokens_out, "tokens out");
    say(burnt, cached(state));
    say(cost, money(state.cost_usd));
    mark(cost, "title", state.sources.cost_usd ?? null);
    tellTool(tool, running, agent, now);
    presence.tell(agent.presence, "", agent.certainty ? `, ${agent.certainty}` : "");
    mark(presence.element, "title", agent.reasons.join("; ") || null);
    say(carrier, `${duration(ageOf(agent, now))} ago · ${carriedBy(agent, view)}`);
    mark(carrier, "title", agent.transport === null ? null : `its news came by ${agent.transport}`);
  };
}

/** `box-2/claude-1f3c`: where it is in grey, what it is in black. */
export function agentName(agentId) {
  const slash = agentId.lastIndexOf("/") + 1;
  return h(
    "a",
    { class: "name", href: addressOf({ agent: agentId }), title: agentId },
    h("span", { class: "where" }, agentId.slice(0, slash)),
    agentId.slice(slash),
  );
}

/** Which node carries it, and how far that node's clock is off where it matters. */
function carriedBy(agent, view) {
  const offset = nodeOf(view, agent.node)?.clock_offset_ms ?? null;
  return [`via ${agent.node}`, offset !== null && Math.abs(offset) >= SKEW_MS ? `clock ${skew(offset)}` : null]
    .filter(Boolean)
    .join(" · ");
}

/** `+2.1 s`: how far another's clock is ahead of the serving node's. */
export function skew(milliseconds) {
  const sign = milliseconds < 0 ? "−" : "+";
  const size = Math.abs(milliseconds);
  return size < 1_000 ? `${sign}${Math.round(size)} ms` : `${sign}${duration(size / 1_000)}`;
}

function cached(state) {
  if (state.tokens_cache_read === null || !state.tokens_in) return "";
  return `${Math.min(100, Math.round((100 * state.tokens_cache_read) / state.tokens_in))} % cached`;
}

function tellCount(element, number, what) {
  say(element, count(number));
  mark(element, "title", `${exact(number)} ${what}`);
}

function tellTool(tool, running, agent, now) {
  const { state } = agent;
  say(tool, state.active_tool ?? (state.status === "tool" ? "a tool" : UNKNOWN));
  mark(tool, "data-none", state.active_tool ? null : "");
  const seconds = state.active_tool && state.active_tool_since ? runningFor(state.active_tool_since, agent, now) : null;
  const verb = agent.presence === "fresh" ? "for" : "ran";
  say(running, seconds === null ? "" : `${verb} ${clock(seconds)}`);
}
