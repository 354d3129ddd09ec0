// All that is known of one agent, and where each figure comes from.

import { badge } from "./badge.js";
import { ageOf, runningFor } from "./clockwork.js";
import { contextBar, contextWords } from "./context.js";
import { h, keyed, mark, say, show } from "./dom.js";
import { nodeOf } from "./fleet.js";
import { clock, count, duration, exact, moment, money, percent, UNKNOWN } from "./format.js";
import { figures, part } from "./figures.js";
import { makeLimit } from "./limits.js";
import { past } from "./past.js";
import { agentName, skew } from "./row.js";
import { happenings, whyStory } from "./stories.js";
import { PRESENCE, STATUS } from "./words.js";

/** {element, update(agent, now, view), why(story), events(events), history(history)}. */
export function agentDetail() {
  const [status, presence] = [badge(STATUS), badge(PRESENCE)];
  const note = h("p", { class: "note" });
  const bar = contextBar();
  const [use, where] = [figures("What it uses"), figures("Where it is")];
  const limits = h("ul", { class: "limits" });
  const family = h("ul", { class: "family" });
  const raw = h("pre", { tabindex: "0" });
  const json = h("details", { class: "raw" }, h("summary", {}, "As JSON"), raw);
  const [why, events, history] = [whyStory(), happenings(), past()];
  const [limitsPart, familyPart] = [part("Rate limits of its key", limits), part("Family", family)];
  return {
    element: h(
      "div",
      { class: "detail-body" },
      h("p", { class: "badges" }, status.element, " ", presence.element),
      note,
      bar.element,
      use.element,
      limitsPart,
      part("The last hours", history.element),
      part("Where it is", where.element),
      familyPart,
      part("Why it is judged so", why.element),
      part("What happened", events.element),
      json,
    ),
    update(agent, now, view) {
      const { state } = agent;
      status.tell(state.status);
      presence.tell(agent.presence, "", `${agent.certainty ? `, ${agent.certainty}` : ""} · ${duration(ageOf(agent, now))} ago`);
      say(note, [state.note, ...agent.reasons].filter(Boolean).join("; "));
      bar.tell(state);
      use.update(used(agent, now));
      where.update(placed(agent, now, view));
      show(limitsPart, state.rate_limits.length > 0);
      keyed(limits, state.rate_limits, (limit) => `${limit.key} ${limit.window}`, makeLimit, now);
      const relatives = [...(state.parent ? [{ id: state.parent, is: "started it" }] : []),
        ...view.agents.filter((other) => other.state.parent === agent.agent_id).map((other) => ({ id: other.agent_id, is: "started by it" }))];
      show(familyPart, relatives.length > 0);
      keyed(family, relatives, (relative) => relative.id, makeRelative);
      mark(json, "data-agent", agent.agent_id);
      if (json.open) say(raw, JSON.stringify(agent, null, 2));
    },
    why: why.tell,
    events: events.tell,
    history: history.tell,
  };
}

function makeRelative(relative) {
  return { element: h("li", {}, agentName(relative.id), " ", h("span", { class: "quiet" }, relative.is)), update() {} };
}

function used(agent, now) {
  const { state } = agent;
  const from = (field) => state.sources[field];
  const running = state.active_tool && state.active_tool_since ? runningFor(state.active_tool_since, agent, now) : null;
  return [
    ["status", state.status, from("status")],
    ["model", state.model ?? UNKNOWN, from("model")],
    ["runtime", state.runtime, from("runtime")],
    ["context", state.context_pct === null ? UNKNOWN : percent(state.context_pct), from("context_pct") ?? from("context_tokens")],
    ["context window", exactOr(state.context_limit), from("context_limit")],
    ["context trend", contextWords({ ...state, context_tokens: null }) || UNKNOWN, from("context_trend_pct_per_min")],
    ["tokens in", exactOr(state.tokens_in), from("tokens_in")],
    ["tokens out", exactOr(state.tokens_out), from("tokens_out")],
    ["from cache", cache(state), from("tokens_cache_read")],
    ["cost", money(state.cost_usd), from("cost_usd")],
    ["active tool", state.active_tool ?? UNKNOWN, from("active_tool")],
    running === null ? null : ["tool runs for", clock(running), from("active_tool_since")],
    state.exit_code === null ? null : ["exit code", String(state.exit_code), from("exit_code")],
  ];
}

const exactOr = (number) => (number === null ? UNKNOWN : exact(number));

function cache(state) {
  if (state.tokens_cache_read === null && state.tokens_cache_write === null) return UNKNOWN;
  return `${count(state.tokens_cache_read)} read, ${count(state.tokens_cache_write)} written`;
}

function placed(agent, now, view) {
  const { state } = agent;
  const node = nodeOf(view, agent.node);
  const offset = node?.clock_offset_ms ?? null;
  return [
    ["node", agent.node, agent.transport ? `its news came by ${agent.transport}` : null],
    ["host", node?.host ?? UNKNOWN, node?.zone ? `zone ${node.zone}` : null],
    ["project", state.project ?? UNKNOWN, null],
    ["session", state.session ?? UNKNOWN, null],
    ["its own clock said", moment(Date.parse(state.timestamp), now.wall), "when it told its state"],
    ["last heard", agent.last_seen ? moment(Date.parse(agent.last_seen), now.wall) : UNKNOWN, `by ${view.served_by.node}'s clock`],
    ["clock of its node", offset === null ? UNKNOWN : skew(offset), "against the serving node's; shown, never judged by"],
    [`${agent.presence} since`, moment(Date.parse(agent.since), now.wall), null],
    ["epoch, sequence", `${agent.epoch}, ${agent.seq}`, null],
  ];
}
