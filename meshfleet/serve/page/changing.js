// Puts what a stream tells into the view: first the whole of it, then what changed. meshfleet/client/change.py is the same
// for Python, and says what is told and why.

const ASKED = new Set(["poll", "events"]); // by what agents come that a node asks over HTTP

/** The view after the change, its ages as of the change. Neither argument is changed. */
export function applied(view, change) {
  const nodes = new Map(view.nodes.map((node) => [node.name, node]));
  const agents = new Map(view.agents.map((agent) => [agent.agent_id, agent]));
  for (const node of change.nodes ?? []) nodes.set(node.name, node);
  for (const agent of change.agents ?? []) agents.set(agent.agent_id, agent);
  for (const name of change.gone_nodes ?? []) nodes.delete(name);
  for (const id of change.gone_agents ?? []) agents.delete(id);

  const now = Date.parse(change.now);
  const seen = new Map();
  for (const node of nodes.values()) seen.set(node.name, change.seen?.[node.name] ?? node.last_seen);
  seen.set(change.served_by.node, change.now);
  const heard = (subject, at) => {
    if (!at) return subject;
    return { ...subject, last_seen: at, age_s: Math.max(0, (now - Date.parse(at)) / 1000) };
  };

  const hasOwnAge = (agent) => ASKED.has(agent.transport) && (agent.node === change.served_by.node || agent.presence !== "fresh");
  const lastOf = (agent) =>
    hasOwnAge(agent) ? (change.seen_agents?.[agent.agent_id] ?? agent.last_seen) : (seen.get(agent.node) ?? agent.last_seen);
  const byItsNode = (agent) =>
    ASKED.has(agent.transport) ? agent : { ...agent, transport: nodes.get(agent.node)?.transport ?? agent.transport };

  const { nodes: _nodes, agents: _agents, gone_nodes: _gone, gone_agents: _left, seen: _seen, seen_agents: _asked, ...rest } = change;
  const passed = Math.max(0, (now - Date.parse(view.now)) / 1000);
  return {
    ...view,
    ...rest,
    zones: change.zones ?? (view.zones ?? []).map((zone) => (zone.presence === "fresh" ? zone : { ...zone, age_s: zone.age_s + passed })),
    nodes: [...nodes.values()].map((node) => heard(node, seen.get(node.name))).sort(by("name")),
    agents: [...agents.values()].map((agent) => byItsNode(heard(agent, lastOf(agent)))).sort(by("agent_id")),
  };
}

const by = (field) => (one, two) => (one[field] < two[field] ? -1 : 1);
