// The agents that are shown, as a file for a spreadsheet.

const COLUMNS = {
  agent: (agent) => agent.agent_id,
  node: (agent) => agent.node,
  presence: (agent) => agent.presence,
  status: (agent) => agent.state.status,
  runtime: (agent) => agent.state.runtime,
  model: (agent) => agent.state.model,
  project: (agent) => agent.state.project,
  parent: (agent) => agent.state.parent,
  context_pct: (agent) => agent.state.context_pct,
  context_tokens: (agent) => agent.state.context_tokens,
  context_limit: (agent) => agent.state.context_limit,
  tokens_in: (agent) => agent.state.tokens_in,
  tokens_out: (agent) => agent.state.tokens_out,
  cost_usd: (agent) => agent.state.cost_usd,
  active_tool: (agent) => agent.state.active_tool,
  last_seen: (agent) => agent.last_seen,
};

/** RFC 4180. What is not known is empty. */
export function csv(agents) {
  const lines = agents.map((agent) => Object.values(COLUMNS).map((figure) => field(figure(agent))));
  return [Object.keys(COLUMNS), ...lines].map((line) => `${line.join(",")}\r\n`).join("");
}

function field(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  // A spreadsheet runs what begins so; a name may be anything that an agent calls itself.
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Let the browser keep it. */
export function download(agents, name) {
  const url = URL.createObjectURL(new Blob([csv(agents)], { type: "text/csv" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
