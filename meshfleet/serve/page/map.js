// The nodes as a picture: who is with whom, how the serving node reaches each, and where nothing passes.
//
// Each island is a ring of its own; the serving node's is the first, with itself in the middle. A line that is drawn through is
// a direct path, a dashed one goes over somebody, none is none. What the picture says, the table and the banners say in words.

import { addressOf, place } from "./address.js";
import { mark, s, say, show } from "./dom.js";
import { nodeOf } from "./fleet.js";
import { plural } from "./format.js";
import { natural } from "./ordering.js";
import { look, PRESENCE } from "./words.js";

const WIDE = [720, 200];
const NARROW = [360, 220];
const NARROW_PX = 560;
let narrow = false;
let [width, height] = WIDE;
/** From so many nodes on names overlap: then they are in the titles alone. */
const NAMED = 40;

const frame = document.getElementById("map");
let drawnFor = "";

new ResizeObserver(([{ contentRect }]) => (narrow = contentRect.width < NARROW_PX)).observe(frame);

export function showMap(view) {
  const wanted = signature(view);
  if (wanted === drawnFor) return;
  drawnFor = wanted;
  const focused = frame.contains(document.activeElement) ? document.activeElement.dataset.node : null;
  show(document.getElementById("map-section"), view.nodes.length > 1);
  frame.replaceChildren(...(view.nodes.length < 2 ? [] : [drawing(view)]));
  if (focused) frame.querySelector(`[data-node="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

/** All that the picture depends on: it is drawn anew when that changes, and not with each view. */
function signature({ served_by: server, nodes }) {
  return JSON.stringify([narrow, server.node, server.islands, server.cuts, place.node, place.q, place.group,
    nodes.map((node) => [node.name, node.presence, node.reach, node.agents.length])]);
}

function drawing(view) {
  [width, height] = narrow ? NARROW : WIDE;
  const places = placed(view);
  const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": described(view) });
  svg.append(...places.islands.map(ring), ...wires(view, places.at), ...walls(view, places));
  for (const node of view.nodes) if (places.at.has(node.name)) svg.append(dot(node, places.at.get(node.name), view));
  return svg;
}

function described(view) {
  const { islands, cuts } = view.served_by;
  const parts = islands.length > 1 ? `${islands.length} islands` : "one island";
  return `Map of ${plural(view.nodes.length, "node")} as ${view.served_by.node} sees them: ${parts}, ${plural(cuts.length, "cut")}`;
}

/** Where each node stands: islands beside each other, wide as their numbers ask for. */
function placed(view) {
  const own = view.served_by.node;
  const known = new Set(view.served_by.islands.flat());
  const rest = view.nodes.map((node) => node.name).filter((name) => !known.has(name));
  const islands = [...view.served_by.islands.map((names) => [...names]), ...(rest.length ? [rest] : [])];
  const weights = islands.map((names) => Math.sqrt(names.length) + 0.7);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const at = new Map();
  const drawn = [];
  let left = 0;
  islands.forEach((names, i) => {
    const room = (width * weights[i]) / total;
    const centre = { x: left + room / 2, y: height / 2 };
    const [rx, ry] = [Math.max(14, room / 2 - 46), height / 2 - 44];
    left += room;
    drawn.push({ centre, rx: Math.max(30, room / 2 - 10), ry: height / 2 - 8, own: i === 0, lost: rest.length > 0 && i === islands.length - 1 });
    const outer = names.filter((name) => name !== own).sort(natural);
    if (outer.length < names.length) at.set(own, centre);
    if (names.length === 1) {
      at.set(names[0], centre);
      return;
    }
    outer.forEach((name, j) => {
      const turn = -Math.PI / 2 + (2 * Math.PI * (j + (outer.length === 2 ? 0.5 : 0))) / outer.length;
      at.set(name, { x: centre.x + rx * Math.cos(turn), y: centre.y + ry * Math.sin(turn) });
    });
  });
  return { at, islands: drawn };
}

function ring({ centre, rx, ry, own }) {
  return s("rect", { class: "island", "data-own": own ? "" : null, x: centre.x - rx, y: centre.y - ry, width: 2 * rx, height: 2 * ry, rx: 26 });
}

/** From the serving node to each that it reaches: straight, or over who passes it on. */
function wires(view, at) {
  const from = at.get(view.served_by.node);
  if (from === undefined) return [];
  const lines = [];
  for (const node of view.nodes) {
    const to = at.get(node.name);
    if (!to || !node.reach || node.reach === "self") continue;
    const over = at.get(/ via (.+)$/.exec(node.reach)?.[1]);
    lines.push(over ? line("over", over, to) : line(node.reach === "direct" ? "direct" : "over", from, to));
  }
  return lines;
}

function line(kind, from, to) {
  return s("line", { class: `wire ${kind}`, x1: from.x, y1: from.y, x2: to.x, y2: to.y });
}

/** Between islands a wall; for a cut within one, crossed lines between those who miss each other. */
function walls(view, { at, islands }) {
  const found = [];
  for (let i = 1; i < islands.length; i += 1) {
    const x = (islands[i - 1].centre.x + islands[i - 1].rx + islands[i].centre.x - islands[i].rx) / 2;
    found.push(s("path", { class: "wall", d: zigzag(x) }, s("title", {}, "nothing passes here")));
  }
  for (const { left, right } of view.served_by.cuts) {
    for (const [a, b] of left.slice(0, 8).flatMap((one) => right.slice(0, 8).map((other) => [at.get(one), at.get(other)]))) {
      if (!a || !b) continue;
      const middle = { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
      found.push(line("cut", a, b), s("text", { class: "cross", x: middle.x, y: middle.y + 5 }, "✖"));
    }
  }
  return found;
}

function zigzag(x) {
  let path = `M${x} 12`;
  for (let y = 12, side = 1; y < height - 16; y += 9, side = -side) path += `l${side * 6} 4.5l${-side * 6} 4.5`;
  return path;
}

function dot(node, { x, y }, view) {
  const own = node.name === view.served_by.node;
  const { glyph, tone, word } = look(PRESENCE, node.presence);
  const agents = plural(node.agents.length, "agent");
  const link = s(
    "a",
    { class: "node", href: addressOf({ node: node.name }), "data-node": node.name, "data-tone": tone, "aria-label": `${node.name}, ${own ? "this node" : word}, ${agents}` },
    s("title", {}, `${node.name}: ${own ? "this node" : word}, ${node.reach ?? "not reached"}, ${agents}`),
    s("circle", { cx: x, cy: y, r: Math.min(15, 9 + Math.sqrt(node.agents.length)), "data-own": own ? "" : null }),
  );
  const sign = s("text", { class: "sign", x, y: y + 4.5, "aria-hidden": "true" });
  say(sign, own ? "★" : glyph);
  link.append(sign);
  if (view.nodes.length <= NAMED) link.append(s("text", { class: "label", x, y: y + 29, "aria-hidden": "true" }, node.name));
  const known = nodeOf(view, place.node);
  mark(link, "data-open", known?.name === node.name ? "" : null);
  return link;
}
