// The filter: words, `key:value` and `key>number`, all of which must hold; '-' before one means that it must not.

import { nodeOf } from "./fleet.js";

const TEXTS = {
  agent: (agent) => [agent.agent_id],
  host: (agent, view) => [nodeOf(view, agent.node)?.host, agent.node],
  key: (agent) => agent.state.rate_limits.map((limit) => limit.key),
  model: (agent) => [agent.state.model],
  node: (agent) => [agent.node],
  parent: (agent) => [agent.state.parent],
  presence: (agent) => [agent.presence],
  project: (agent) => [agent.state.project],
  runtime: (agent) => [agent.state.runtime],
  status: (agent) => [agent.state.status],
  tool: (agent) => [agent.state.active_tool],
  zone: (agent, view) => [nodeOf(view, agent.node)?.zone],
};
const SAME = { state: "status", ctx: "context", tokens: "in" };
const NUMBERS = {
  age: (agent) => agent.age_s,
  context: (agent) => agent.state.context_pct,
  cost: (agent) => agent.state.cost_usd,
  in: (agent) => agent.state.tokens_in,
  out: (agent) => agent.state.tokens_out,
};

/** The keys that a filter may name, for who asks. */
export const KEYS = [Object.keys(TEXTS), Object.keys(NUMBERS)];

/** A function of (agent, view) that says whether `query` fits it. */
export function matcher(query) {
  const tests = (query.match(/"[^"]*"|[^\s"]+(?:"[^"]*")?/g) ?? []).map(test);
  return (agent, view) => tests.every((holds) => holds(agent, view));
}

function test(word) {
  if (word.startsWith("-") && word.length > 1) {
    const holds = test(word.slice(1));
    return (agent, view) => !holds(agent, view);
  }
  const [, key, sign, rest] = /^([a-z]+)([:<>])(.*)$/i.exec(word) ?? [];
  const name = SAME[key?.toLowerCase()] ?? key?.toLowerCase();
  const value = (rest ?? word).replaceAll('"', "").toLowerCase();
  if (sign === ":" && name in TEXTS) return (agent, view) => within(TEXTS[name](agent, view), value);
  if ((sign === ">" || sign === "<") && name in NUMBERS) return compared(NUMBERS[name], sign, Number.parseFloat(value));
  const whole = word.replaceAll('"', "").toLowerCase();
  return (agent, view) => within(everything(agent, view), whole);
}

function everything(agent, view) {
  const { state } = agent;
  return [agent.agent_id, state.model, state.runtime, state.project, state.status, state.active_tool, state.note, agent.presence,
    nodeOf(view, agent.node)?.host];
}

const within = (texts, value) => texts.some((text) => text?.toLowerCase().includes(value));

function compared(figure, sign, bound) {
  if (Number.isNaN(bound)) return () => true; // still being typed
  return (agent) => {
    const number = figure(agent);
    return number !== null && (sign === ">" ? number > bound : number < bound);
  };
}
