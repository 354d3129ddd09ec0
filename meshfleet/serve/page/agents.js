// The agents: which rows there are, and which of them are brought up to date when.
//
// A thousand agents may each have news twice a second, and nobody sees more than some forty of them. So rows near what is
// looked at are updated with each view; the others in turns, some at each, so that what a search or a screen reader finds in
// them is seconds old at most. New rows are filled some at a time, so that a first view of many shows its top at once. Where rows stand is decided anew each two seconds: nobody can read what jumps about.

import { go, place } from "./address.js";
import { mark, placed, say, show } from "./dom.js";
import { download } from "./export.js";
import { agentOf } from "./fleet.js";
import { groupRow } from "./group.js";
import { arranged } from "./ordering.js";
import { layoutOf } from "./room.js";
import { agentRow } from "./row.js";

const SETTLED_MS = 2_000;
const IN_TURN = 40;
const FILLED_AT_ONCE = 60;

const at = (id) => document.getElementById(id);
const body = at("agents-rows");
const closed = new Set();
const rowOf = new WeakMap();
let arrangement = { rows: [], shown: 0 };
let arrangedAt = -Infinity;
let arrangedFor = "";
let turn = 0;
let latest = null;

const watch = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      const row = rowOf.get(target);
      row.near = isIntersecting;
      if (isIntersecting && latest !== null) row.refresh(...latest);
    }
  },
  { rootMargin: "400px 0px" },
);

/** Show them. Resolves to whether there are rows that are still to be filled, with another draw. */
export function showAgents(view, now) {
  latest = [now, view];
  arrange(view);
  const { rows, shown } = arrangement;
  const total = view.agents.length;
  show(at("agents-empty"), total === 0);
  show(at("agents-tools"), total > 0);
  show(at("agents-unfit"), total > 0 && shown === 0);
  show(at("agents-table"), shown > 0);
  mark(at("agents-table"), "data-layout", layoutOf("agents", place.layout || "table"));
  say(at("agents-count"), shown === total ? String(total) : `${shown} of ${total}`);
  const pairs = placed(body, rows, (row) => row.key, make);
  const due = new Set();
  for (let i = 0; i < Math.min(IN_TURN, pairs.length); i += 1) due.add((turn + i) % pairs.length);
  turn = pairs.length ? (turn + IN_TURN) % pairs.length : 0;
  let filled = 0;
  let unfinished = false;
  pairs.forEach(([row, item], i) => {
    row.item = item;
    if (row.empty && filled >= FILLED_AT_ONCE) {
      unfinished = true;
    } else if (row.empty || row.near || due.has(i)) {
      filled += row.empty ? 1 : 0;
      row.refresh(now, view);
    }
  });
  showLooks();
  return unfinished;
}

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
    near: false,
    empty: true,
    refresh(now, view) {
      row.empty = false;
      if (row.item.kind === "group") return inner.update(row.item);
      inner.update(row.item.agent, now, view, row.item.depth);
      mark(inner.element, "aria-current", row.item.key === place.agent ? "true" : null);
    },
    gone() {
      watch.unobserve(inner.element);
    },
  };
  rowOf.set(inner.element, row);
  watch.observe(inner.element);
  return row;
}

function toggle(id) {
  if (!closed.delete(id)) closed.add(id);
  if (latest !== null) showAgents(latest[1], latest[0]);
}

// How they are looked at: filter, group, sort, layout.

const GROUPS = [...at("group").options].map((option) => option.value);

at("filter").addEventListener("input", () => go({ q: at("filter").value }));
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
  if (at("filter").value !== place.q) at("filter").value = place.q;
  if (at("group").value !== place.group) at("group").value = place.group;
  if (at("sort").value !== sort) at("sort").value = sort;
  mark(at("layout"), "aria-pressed", String(place.layout === "cards"));
}
