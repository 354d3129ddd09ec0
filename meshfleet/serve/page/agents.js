// The agents: one dense, aligned row each. Who is out of reach keeps the last known state, greyed, with its age.

import { CONTEXT_HIGH, rowId } from "./attention.js";
import { badge } from "./badge.js";
import { ageOf, runningFor } from "./clockwork.js";
import { h, keyed, mark, say, show } from "./dom.js";
import { clock, count, duration, exact, money, percent, UNKNOWN } from "./format.js";
import { PRESENCE, STATUS } from "./words.js";

/** From where a context is worth an eye. */
const CONTEXT_MIDDLE = 60;

const ORDER = { error: 0, waiting: 0, rate_limited: 1, working: 2, tool: 2, starting: 2, idle: 3, exited: 6 };

export function showAgents(view, now) {
  const agents = [...view.agents].sort((a, b) => place(a) - place(b) || (a.agent_id < b.agent_id ? -1 : 1));
  show(document.getElementById("agents-empty"), agents.length === 0);
  show(document.getElementById("agents-table"), agents.length > 0);
  keyed(document.getElementById("agents-rows"), agents, (agent) => agent.agent_id, makeRow, now);
}

/** Rows move when something happens, not when something ticks: stale ones stay where they are. */
function place(agent) {
  if (agent.presence === "left") return 6;
  if (agent.presence === "down" || agent.presence === "unreachable") return 5;
  return ORDER[agent.state.status] ?? 4;
}

function cell(label, className, ...children) {
  return h("td", { role: "cell", "data-label": label, class: className }, ...children);
}

function makeRow(first) {
  const status = badge(STATUS);
  const presence = badge(PRESENCE);
  const text = () => h("span", { class: "main" });
  const under = () => h("span", { class: "under" });
  const [name, project, model, runtime] = [agentName(first.agent_id), under(), text(), under()];
  const [input, output, cost, tool, running, node] = [text(), text(), text(), text(), under(), under()];
  const context = contextBar();
  const element = h(
    "tr",
    { role: "row", id: rowId("agent", first.agent_id) },
    cell("Status", "status", status.element),
    cell("Agent", "agent", name, project),
    cell("Model", "model", model, runtime),
    cell("Context", "context", context.element),
    cell("Tokens in / out", "number tokens", input, h("span", { class: "slash", "aria-hidden": "true" }, " / "), output),
    cell("Cost", "number cost", cost),
    cell("Active tool", "tool", tool, running),
    cell("Presence", "presence", presence.element, node),
  );
  return {
    element,
    update(agent, now) {
      const { state } = agent;
      const known = agent.presence === "fresh" || agent.presence === "stale";
      mark(element, "data-presence", agent.presence);
      status.tell(state.status, known || state.status === "exited" ? "" : "was ");
      say(project, [state.project, state.parent ? `of ${state.parent}` : null].filter(Boolean).join(" · "));
      say(model, state.model ?? UNKNOWN);
      say(runtime, state.runtime);
      context.tell(state);
      tellCount(input, state.tokens_in, "tokens in, cache included");
      tellCount(output, state.tokens_out, "tokens out");
      say(cost, money(state.cost_usd));
      mark(cost, "title", state.sources.cost_usd ?? null);
      tellTool(tool, running, agent, now);
      presence.tell(agent.presence, "", agent.certainty ? `, ${agent.certainty}` : "");
      mark(presence.element, "title", agent.reasons.join("; ") || null);
      say(node, `${duration(ageOf(agent, now))} ago, via ${agent.node}`);
    },
  };
}

/** `box-2/claude-1f3c`: where it is in grey, what it is in black. */
function agentName(agentId) {
  const slash = agentId.lastIndexOf("/") + 1;
  return h(
    "a",
    { class: "main name", href: `/v1/agents/${agentId.split("/").map(encodeURIComponent).join("/")}` },
    h("span", { class: "where" }, agentId.slice(0, slash)),
    agentId.slice(slash),
  );
}

function tellCount(element, number, what) {
  say(element, count(number));
  mark(element, "title", `${exact(number)} ${what}`);
}

function tellTool(tool, running, agent, now) {
  const { state } = agent;
  say(tool, state.active_tool ?? (agent.state.status === "tool" ? "a tool" : UNKNOWN));
  mark(tool, "data-none", state.active_tool ? null : "");
  const seconds = state.active_tool && state.active_tool_since ? runningFor(state.active_tool_since, agent, now) : null;
  const verb = agent.presence === "fresh" ? "for" : "ran";
  say(running, seconds === null ? "" : `${verb} ${clock(seconds)}`);
}

function contextBar() {
  const fill = h("span", { class: "fill" });
  const bar = h("span", { class: "bar", role: "meter", "aria-label": "context", "aria-valuemin": "0", "aria-valuemax": "100" }, fill);
  const share = h("span", { class: "share" });
  const tokens = h("span", { class: "under" });
  return {
    element: h("span", { class: "meter" }, bar, share, tokens),
    tell(state) {
      const pct = state.context_pct;
      const level = pct === null ? "unknown" : pct >= CONTEXT_HIGH ? "high" : pct >= CONTEXT_MIDDLE ? "middle" : "low";
      mark(bar, "data-level", level);
      mark(share, "data-level", level);
      mark(bar, "aria-valuenow", pct === null ? null : Math.round(pct));
      mark(bar, "aria-valuetext", pct === null ? "not known" : percent(pct));
      const width = `${pct === null ? 0 : Math.min(100, Math.max(0, pct))}%`;
      if (fill.style.width !== width) fill.style.width = width;
      say(share, pct === null ? UNKNOWN : percent(pct));
      say(tokens, contextWords(state));
    },
  };
}

function contextWords(state) {
  const words = [];
  if (state.context_tokens !== null) {
    words.push(state.context_limit === null ? count(state.context_tokens) : `${count(state.context_tokens)} of ${count(state.context_limit)}`);
  }
  if (state.context_full_in_s !== null) words.push(`full in ${duration(state.context_full_in_s)}`);
  return words.join(" · ");
}
