// The nodes, as the serving one sees them: how each is reached, how old its newest word is, and why it is judged so.

import { addressOf, place } from "./address.js";
import { badge } from "./badge.js";
import { ageOf } from "./clockwork.js";
import { h, keyed, mark, say, show } from "./dom.js";
import { duration, moment, UNKNOWN } from "./format.js";
import { natural } from "./ordering.js";
import { layoutOf } from "./room.js";
import { cell, skew } from "./row.js";
import { PRESENCE } from "./words.js";

export function showNodes(view, now) {
  const own = view.served_by.node;
  mark(document.getElementById("nodes-table"), "data-layout", layoutOf("nodes"));
  const nodes = [...view.nodes].sort((a, b) => (b.name === own) - (a.name === own) || natural(a.name, b.name));
  keyed(document.getElementById("nodes-rows"), nodes, (node) => node.name, (node) => makeRow(node, own), now);
  show(document.getElementById("nodes-empty"), view.nodes.length <= 1);
  showIslands(view.served_by.islands);
}

function showIslands(islands) {
  const element = document.getElementById("islands");
  show(element, islands.length > 1);
  say(element, `${islands.length} islands, as far as this node can tell: ${islands.map((names) => names.join(" ")).join("  |  ")}`);
}

function makeRow(first, own) {
  const presence = badge(PRESENCE);
  const text = () => h("span", { class: "main" });
  const under = () => h("span", { class: "under" });
  const name = h("a", { class: "name", href: addressOf({ node: first.name }), title: first.name }, first.name);
  const [role, age, reach, path, zone, host] = [under(), under(), text(), under(), text(), under()];
  const [agents, offset, epoch, version, reasons] = [text(), text(), text(), under(), text()];
  const element = h(
    "tr",
    { role: "row" },
    cell("Node", "agent", h("span", { class: "main" }, name), role),
    cell("Presence", "presence", presence.element, age),
    cell("Reach", "reach", reach, path),
    cell("Zone, host", "zone", zone, host),
    cell("Agents", "number", agents),
    cell("Clock", "clock", offset),
    cell("Epoch", "epoch", epoch, version),
    cell("Reasons", "reasons", reasons),
  );
  return {
    element,
    update(node, now) {
      const self = node.name === own;
      mark(element, "data-presence", node.presence);
      mark(element, "aria-current", node.name === place.node ? "true" : null);
      say(role, self ? "this node" : node.role);
      presence.tell(node.presence, "", node.certainty ? `, ${node.certainty}` : "");
      say(age, self ? "" : `${duration(ageOf(node, now))} ago`);
      say(reach, self ? "self" : (node.reach ?? "not reached"));
      say(path, self ? "" : [node.transport, node.rtt_ms === null ? null : `${node.rtt_ms.toFixed(1)} ms`].filter(Boolean).join(" · "));
      say(zone, node.zone ?? UNKNOWN);
      say(host, node.host);
      say(offset, self ? "its own" : node.clock_offset_ms === null ? UNKNOWN : skew(node.clock_offset_ms));
      say(agents, String(node.agents.length));
      say(epoch, `since ${moment(node.epoch, now.wall)}`);
      mark(epoch, "title", `epoch ${node.epoch}, incarnation ${node.incarnation}`);
      say(version, node.version);
      say(reasons, node.reasons.join("; "));
    },
  };
}
