// Views as small as a test needs them.

const agent = (id, state = {}, rest = {}) => ({
    agent_id: id, node: "n1", presence: "fresh", age_s: 1, reasons: [], ...rest,
    state: {
        agent_id: id, status: "working", runtime: "codex", model: null, project: null, parent: null, context_pct: null,
        context_full_in_s: null, tokens_in: null, tokens_out: null, cost_usd: null, active_tool: null,
        active_tool_since: null, rate_limits: [], note: null, exit_code: null, timestamp: "2026-11-23T20:00:00Z", ...state,
    },
});
const node = (name, rest = {}) => ({
    name, zone: "east", host: `host-${name}`, presence: "fresh", agents: [], reasons: [], ...rest,
});
const view = (agents, rest = {}) => ({
    nodes: [node("n1"), node("n2", {zone: "west"})], agents, totals: {}, ...rest,
});
const now = {wall: Date.parse("2026-11-23T20:15:00Z"), passed: 0};
const limit = (key, window, used_pct) => ({key, window, used_pct, resets_at: null});
const notice = (rule, severity, subject, text, since = "2026-11-23T20:10:00Z") => ({
    rule, severity, subject, text, since, key: `${rule}:${subject}`,
});
const child = (id, parent) => agent(id, {parent});
