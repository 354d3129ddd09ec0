// The agents: which rows there are, and where. Where rows stand is decided anew each two seconds: nobody can read what jumps
// about. Those in the page are brought up to date with each view.

import { go, place } from "./address.js";
import { mark, placed, say, show } from "./dom.js";
import { download } from "./export.js";
import { agentOf } from "./fleet.js";
import { groupRow } from "./group.js";
import { arranged } from "./ordering.js";
import { layoutOf } from "./room.js";
import { agentRow } from "./row.js";
import { ALL, columnsIn, lineOf, linesOf, windowOf } from "./window.js";

const SETTLED_MS = 2_000;

const at = (id) => document.getElementById(id);
const body = at("agents-rows");
const closed = new Set();
const rowOf = new WeakMap();
let arrangement = { rows: [], shown: 0 };
let arrangedAt = -Infinity;
let arrangedFor = "";
let latest = null;
let lines = null;
let seen = { top: 0, bottom: 0, width: 0 };
let there = "";
/** The agent that had the focus last. Its row may not be in the page any more. */
let current = null;

/** Find out what is looked at. Before anything is written in a frame, as it asks for the layout. */
export function look() {
  const { top, width } = body.getBoundingClientRect();
  seen = { top: -top, bottom: window.innerHeight - top, width };
}

export function showAgents(view, now) {
  latest = [now, view];
  arrange(view);
  const { rows, shown } = arrangement;
  const total = view.agents.length;
  show(at("agents-empty"), total === 0);
  show(at("agents-tools"), total > 0);
  show(at("agents-unfit"), total > 0 && shown === 0);
  show(at("agents-table"), shown > 0);
  const layout = layoutOf("agents", place.layout || "table");
  mark(at("agents-table"), "data-layout", layout);
  say(at("agents-count"), shown === total ? String(total) : `${shown} of ${total}`);
  lines = rows.length > ALL ? linesOf(rows, layout, columnsIn(seen.width)) : null;
  mark(at("agents-table"), "data-many", lines === null ? null : "");
  mark(at("agents-table"), "aria-rowcount", lines === null ? null : rows.length + 1);
  put();
  showLooks();
}

/** Have the rows in the page that should be there, as they are now. */
function put() {
  const { from, to, before, after } = cut();
  there = `${from} ${to}`;
  body.style.paddingTop = before ? `${before}px` : "";
  body.style.paddingBottom = after ? `${after}px` : "";
  placed(body, arrangement.rows.slice(from, to), (row) => row.key, make).forEach(([row, item], i) => {
    row.item = item;
    mark(row.element, "aria-rowindex", lines === null ? null : from + i + 2);
    row.refresh(...latest);
  });
}

const cut = () => (lines === null ? { from: 0, to: arrangement.rows.length, before: 0, after: 0 } : windowOf(lines, seen));

let due = false;

window.addEventListener("scroll", () => {
  if (due || lines === null) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    look();
    const { from, to } = lines === null ? {} : cut();
    if (lines !== null && `${from} ${to}` !== there) put();
  });
}, { passive: true });

function arrange(view) {
  const asked = JSON.stringify([place.q, place.sort, place.group, view.agents.length, [...closed]]);
  const now = performance.now();
  if (asked === arrangedFor && now - arrangedAt < SETTLED_MS && renewed(view)) return;
  [arrangedFor, arrangedAt] = [asked, now];
  arrangement = arranged(view, place, closed);
}

/** Whether the rows that there are can stay, each with the newest of its agent. */
function renewed(view) {
  for (const row of arrangement.rows) {
    if (row.kind !== "agent") continue;
    const agent = agentOf(view, row.key);
    if (agent === undefined) return false;
    row.agent = agent;
  }
  return true;
}

function make(item) {
  const inner = item.kind === "group" ? groupRow(item, toggle) : agentRow(item.agent);
  const row = {
    element: inner.element,
    item,
    refresh(now, view) {
      if (row.item.kind === "group") return inner.update(row.item);
      inner.update(row.item.agent, now, view, row.item.depth);
      mark(inner.element, "aria-current", row.item.key === place.agent ? "true" : null);
    },
  };
  rowOf.set(inner.element, row);
  return row;
}

// Going along them.

body.addEventListener("focusin", (event) => (current = rowOf.get(event.target.closest("tr"))?.item.key ?? null));

/** The agent or node of that name, or the first that has it in its own, as a place; null where there is none. */
export function named(text) {
  if (latest === null || text === "") return null;
  const find = (list, key) => (list.find((each) => each[key] === text) ?? list.find((each) => each[key].includes(text)))?.[key];
  const [, view] = latest;
  const [agent, node] = [find(view.agents, "agent_id"), find(view.nodes, "name")];
  if (node === text || (agent === undefined && node !== undefined)) return { agent: "", node };
  return agent === undefined ? null : { agent, node: "" };
}

/** To the agent after or before the one that has the focus, or had it, or is open. Returns its id. */
export function step(by) {
  const names = arrangement.rows.filter((row) => row.kind === "agent").map((row) => row.key);
  const from = names.indexOf(current !== null && names.includes(current) ? current : place.agent);
  const name = names[from < 0 ? 0 : Math.min(names.length - 1, Math.max(0, from + by))];
  if (name !== undefined) focusOn(name);
  return name;
}

/** Give an agent's row the focus, wherever it is. */
export function focusOn(name) {
  const i = arrangement.rows.findIndex((row) => row.key === name);
  if (i < 0) return;
  const [from, to] = there.split(" ").map(Number);
  if (i < from || i >= to) {
    look();
    window.scrollBy(0, lineOf(lines, i).top - seen.top - window.innerHeight / 2);
    look();
    put();
  }
  const row = [...body.children].find((child) => rowOf.get(child).item.key === name);
  row.querySelector("a.name").focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
}

function toggle(id) {
  if (!closed.delete(id)) closed.add(id);
  if (latest !== null) showAgents(latest[1], latest[0]);
}

// How they are looked at: filter, group, sort, layout.

const GROUPS = [...at("group").options].map((option) => option.value);

// What begins with a colon names whom to go to (keys.js).
at("filter").addEventListener("input", () => at("filter").value.startsWith(":") || go({ q: at("filter").value }));
at("group").addEventListener("change", () => go({ group: at("group").value }));
at("sort").addEventListener("change", () => go({ sort: at("sort").value }));
at("unfilter").addEventListener("click", () => go({ q: "" }));
at("export").addEventListener("click", () => {
  const agents = arrangement.rows.filter((row) => row.kind === "agent").map((row) => row.agent);
  if (latest !== null) download(agents, `agents-${latest[1].now.slice(0, 19).replaceAll(":", "")}.csv`);
});
at("layout").addEventListener("click", turnLayout);

export function turnLayout() {
  go({ layout: place.layout === "cards" ? "" : "cards" });
}

export function groupByNext() {
  go({ group: GROUPS[(GROUPS.indexOf(place.group) + 1) % GROUPS.length] });
}

const FIRST_DOWN = new Set(["context", "tokens", "cost"]);
const heads = [...document.querySelectorAll("#agents-table th[data-sort]")];

for (const head of heads) {
  head.firstElementChild.addEventListener("click", () => {
    const name = head.dataset.sort;
    const before = place.sort || "status";
    const first = FIRST_DOWN.has(name) ? `-${name}` : name;
    if (before.replace("-", "") !== name) go({ sort: first });
    else go({ sort: before.startsWith("-") ? name : `-${name}` });
  });
}

function showLooks() {
  const sort = place.sort || "status";
  for (const head of heads) {
    const isIt = sort.replace("-", "") === head.dataset.sort;
    mark(head, "aria-sort", isIt ? (sort.startsWith("-") ? "descending" : "ascending") : null);
  }
  const naming = at("filter").value.startsWith(":") && document.activeElement === at("filter");
  if (at("filter").value !== place.q && !naming) at("filter").value = place.q;
  if (at("group").value !== place.group) at("group").value = place.group;
  if (at("sort").value !== sort) at("sort").value = sort;
  mark(at("layout"), "aria-pressed", String(place.layout === "cards"));
}
