// What a view implies: looked up and summed, never guessed. A sum counts what is known; where nothing is, it is null.

const NODES = new WeakMap();
const AGENTS = new WeakMap();

function index(cache, list, key) {
  let found = cache.get(list);
  if (found === undefined) cache.set(list, (found = new Map(list.map((each) => [each[key], each]))));
  return found;
}

export const nodeOf = (view, name) => index(NODES, view.nodes, "name").get(name);
export const agentOf = (view, id) => index(AGENTS, view.agents, "agent_id").get(id);

/** Whether what is last known of it can be taken as how it is. */
export const isKnown = (subject) => subject.presence === "fresh" || subject.presence === "stale";

/** Over all agents, or null. */
export function sum(agents, figure) {
  let total = null;
  for (const agent of agents) {
    const number = figure(agent);
    if (number !== null) total = (total ?? 0) + number;
  }
  return total;
}

export function tally(words) {
  const counts = {};
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}

/** What each API key has left in each window, the fullest first. */
export function headroom(view) {
  return view.totals.rate_limits
    .map((limit) => ({ ...limit, name: `${limit.key} ${limit.window}` }))
    .sort((a, b) => (b.used_pct ?? -1) - (a.used_pct ?? -1) || (a.name < b.name ? -1 : 1));
}

/** Only what a browser should follow: a member's word is no reason to run `javascript:`. */
export function pageOf(baseUrl) {
  try {
    const url = new URL(baseUrl);
    return url.protocol === "http:" || url.protocol === "https:" ? url.href : null;
  } catch {
    return null;
  }
}
