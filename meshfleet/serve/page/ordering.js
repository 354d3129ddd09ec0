// Which agents are shown, in which order, under which headings.

import { nodeOf, sum, tally } from "./fleet.js";
import { matcher } from "./matching.js";

const STATUS_RANK = { error: 0, waiting: 0, rate_limited: 1, working: 2, tool: 2, starting: 2, idle: 3, exited: 6 };
const PRESENCE_RANK = { fresh: 0, stale: 1, unreachable: 2, down: 3, left: 4 };

/** What needs a person first, then what works, what rests, what is out of reach, what is over. Rows move when something
 * happens, not when something ticks: stale ones stay where they are. */
function urgency(agent) {
  if (agent.presence === "left") return 6;
  if (agent.presence === "down" || agent.presence === "unreachable") return 5;
  return STATUS_RANK[agent.state.status] ?? 4;
}

/** What a column is sorted by; null goes last, whichever way round. */
export const SORTS = {
  status: urgency,
  agent: (agent) => agent.agent_id,
  model: (agent) => agent.state.model,
  context: (agent) => agent.state.context_pct,
  tokens: (agent) => agent.state.tokens_in,
  cost: (agent) => agent.state.cost_usd,
  tool: (agent) => agent.state.active_tool,
  presence: (agent) => PRESENCE_RANK[agent.presence] ?? 5,
};

export const GROUPS = {
  node: (agent) => agent.node,
  host: (agent, view) => nodeOf(view, agent.node)?.host ?? "host not known",
  zone: (agent, view) => nodeOf(view, agent.node)?.zone ?? "no zone",
  runtime: (agent) => agent.state.runtime,
  model: (agent) => agent.state.model ?? "model not known",
  project: (agent) => agent.state.project ?? "no project",
  status: (agent) => agent.state.status,
  key: (agent) => agent.state.rate_limits[0]?.key ?? "no rate limit told",
};

/**
 * The rows: {kind: "agent", key, agent, depth} and, where they are grouped, {kind: "group", key, name, ...subtotals} before
 * those of each. `closed`: groups whose agents are not wanted. `shown`: how many agents fit the filter.
 */
export function arranged(view, { q, sort, group }, closed) {
  const fits = matcher(q);
  const agents = q.trim() ? view.agents.filter((agent) => fits(agent, view)) : [...view.agents];
  agents.sort(order(sort || "status"));
  const groupOf = GROUPS[group];
  if (groupOf === undefined) return { rows: families(agents), shown: agents.length };
  const groups = Map.groupBy ? Map.groupBy(agents, (agent) => groupOf(agent, view)) : grouped(agents, view, groupOf);
  const rows = [];
  for (const name of [...groups.keys()].sort(natural)) {
    const members = groups.get(name);
    const isClosed = closed.has(`${group}:${name}`);
    rows.push({ kind: "group", key: `group ${name}`, id: `${group}:${name}`, name, closed: isClosed, ...subtotals(members) });
    if (!isClosed) rows.push(...families(members));
  }
  return { rows, shown: agents.length };
}

function grouped(agents, view, groupOf) {
  const groups = new Map();
  for (const agent of agents) {
    const name = groupOf(agent, view);
    if (groups.has(name)) groups.get(name).push(agent);
    else groups.set(name, [agent]);
  }
  return groups;
}

function subtotals(agents) {
  const fullest = agents.reduce((most, agent) => Math.max(most, agent.state.context_pct ?? -1), -1);
  return {
    agents: agents.length,
    statuses: tally(agents.map((agent) => agent.state.status)),
    lost: agents.filter((agent) => agent.presence === "unreachable" || agent.presence === "down").length,
    fullest: fullest < 0 ? null : fullest,
    tokens_in: sum(agents, (agent) => agent.state.tokens_in),
    tokens_out: sum(agents, (agent) => agent.state.tokens_out),
    cost_usd: sum(agents, (agent) => agent.state.cost_usd),
  };
}

const COLLATOR = new Intl.Collator("en", { numeric: true });
/** n2 before n10. */
export const natural = (a, b) => COLLATOR.compare(a, b);

function order(sort) {
  const down = sort.startsWith("-");
  const figure = SORTS[down ? sort.slice(1) : sort] ?? SORTS.status;
  const values = new Map();
  const value = (agent) => {
    let found = values.get(agent);
    if (found === undefined) values.set(agent, (found = figure(agent)));
    return found;
  };
  return (a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === null || y === null) return (x === null) - (y === null) || byId(a, b);
    if (x === y) return byId(a, b);
    const first = x < y ? -1 : 1;
    return down ? -first : first;
  };
}

const byId = (a, b) => (a.agent_id < b.agent_id ? -1 : a.agent_id > b.agent_id ? 1 : 0);

/** Sub-agents under who started them, where that one is shown; else at the place that they have by themselves. */
function families(agents) {
  const there = new Set(agents.map((agent) => agent.agent_id));
  const children = new Map();
  const roots = [];
  for (const agent of agents) {
    const { parent } = agent.state;
    if (parent === null || parent === agent.agent_id || !there.has(parent)) roots.push(agent);
    else if (children.has(parent)) children.get(parent).push(agent);
    else children.set(parent, [agent]);
  }
  const rows = [];
  const done = new Set();
  const add = (agent, depth) => {
    if (done.has(agent)) return; // two that each name the other as the parent
    done.add(agent);
    rows.push({ kind: "agent", key: agent.agent_id, agent, depth: Math.min(depth, 4) });
    for (const child of children.get(agent.agent_id) ?? []) add(child, depth + 1);
  };
  for (const agent of roots) add(agent, 0);
  for (const agent of agents) add(agent, 0);
  return rows;
}
