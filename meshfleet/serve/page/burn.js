// What the fleet spends an hour, from the costs that this page has seen while it is open.

const WINDOW_MS = 600_000;
const EVERY_MS = 10_000;
/** Less than this tells nothing yet. */
const ENOUGH_MS = 60_000;

const seen = [];

/** USD an hour over the last ten minutes at most; null until a minute is seen. Sessions that come or go with what they
 * have cost before are no spending: each counts by what was added while it was there. */
export function burnPerHour(view, now) {
  const last = seen[seen.length - 1];
  if (last === undefined || now.wall - last.at >= EVERY_MS) {
    const costs = new Map();
    for (const agent of view.agents) if (agent.state.cost_usd !== null) costs.set(agent.agent_id, agent.state.cost_usd);
    let spent = 0;
    if (last !== undefined) for (const [id, cost] of costs) spent += Math.max(0, cost - (last.costs.get(id) ?? cost));
    if (last !== undefined) last.costs = null;
    seen.push({ at: now.wall, costs, spent: (last?.spent ?? 0) + spent });
    while (now.wall - seen[0].at > WINDOW_MS) seen.shift();
  }
  const [first, newest] = [seen[0], seen[seen.length - 1]];
  const passed = newest.at - first.at;
  return passed < ENOUGH_MS || newest.spent === first.spent ? null : ((newest.spent - first.spent) * 3_600_000) / passed;
}
