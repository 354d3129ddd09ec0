// The nodes, as the serving one sees them: how each is reached, how old its newest word is, and why it is judged so.

import { rowId } from "./attention.js";
import { badge } from "./badge.js";
import { ageOf } from "./clockwork.js";
import { h, keyed, mark, say, show } from "./dom.js";
import { duration, moment, UNKNOWN } from "./format.js";
import { PRESENCE } from "./words.js";

export function showNodes(view, now) {
  const own = view.served_by.node;
  const nodes = [...view.nodes].sort((a, b) => (b.name === own) - (a.name === own) || (a.name < b.name ? -1 : 1));
  keyed(document.getElementById("nodes-rows"), nodes, (node) => node.name, (node) => makeRow(node, own), now);
  show(document.getElementById("nodes-empty"), view.nodes.length <= 1);
  showIslands(view.served_by.islands);
  showCuts(view.served_by.cuts);
}

function showIslands(islands) {
  const element = document.getElementById("islands");
  show(element, islands.length > 1);
  say(element, `${islands.length} islands, as far as this node can tell: ${islands.map((names) => names.join(" ")).join("  |  ")}`);
}

function showCuts(cuts) {
  const element = document.getElementById("cuts");
  show(element, cuts.length > 0);
  say(element, cuts.map(({ left, right, bridges }) => {
    const over = bridges.length ? `; ${bridges.join(" ")} ${bridges.length === 1 ? "reaches" : "reach"} both` : "";
    return `nothing passes directly between ${left.join(" ")} and ${right.join(" ")}${over}`;
  }).join("  |  "));
}

function cell(label, className, ...children) {
  return h("td", { role: "cell", "data-label": label, class: className }, ...children);
}

function makeRow(first, own) {
  const presence = badge(PRESENCE);
  const text = () => h("span", { class: "main" });
  const under = () => h("span", { class: "under" });
  const name = first.name === own ? h("span", { class: "main name" }, first.name) : h("a", { class: "main name" }, first.name);
  const [role, age, reach, path, zone, host] = [under(), under(), text(), under(), text(), text()];
  const [agents, epoch, version, reasons] = [text(), text(), under(), text()];
  const why = h("a", { class: "why", href: `/v1/why/${encodeURIComponent(first.name)}` }, "why");
  const element = h(
    "tr",
    { role: "row", id: rowId("node", first.name) },
    cell("Node", "agent", name, role),
    cell("Presence", "presence", presence.element, age),
    cell("Reach", "reach", reach, path),
    cell("Zone", "zone", zone),
    cell("Host", "host", host),
    cell("Agents", "number", agents),
    cell("Epoch", "epoch", epoch, version),
    cell("Reasons", "reasons", reasons, why),
  );
  return {
    element,
    update(node, now) {
      const self = node.name === own;
      mark(element, "data-presence", node.presence);
      if (!self) {
        mark(name, "href", pageOf(node.base_url));
        mark(name, "title", node.base_url ? `the fleet as ${node.name} sees it` : null);
      }
      say(role, self ? "this node" : node.role);
      presence.tell(node.presence, "", node.certainty ? `, ${node.certainty}` : "");
      say(age, self ? "" : `${duration(ageOf(node, now))} ago`);
      say(reach, self ? "self" : (node.reach ?? "not reached"));
      say(path, self ? "" : [node.transport, node.rtt_ms === null ? null : `${node.rtt_ms.toFixed(1)} ms`].filter(Boolean).join(" · "));
      say(zone, node.zone ?? UNKNOWN);
      say(host, node.host);
      say(agents, String(node.agents.length));
      say(epoch, `since ${moment(node.epoch, now.wall)}`);
      mark(epoch, "title", `epoch ${node.epoch}, incarnation ${node.incarnation}`);
      say(version, node.version);
      say(reasons, node.reasons.join("; "));
      show(why, !self);
    },
  };
}

/** Only what a browser should follow: a member's word is no reason to run `javascript:`. */
function pageOf(baseUrl) {
  try {
    const url = new URL(baseUrl);
    return url.protocol === "http:" || url.protocol === "https:" ? url.href : null;
  } catch {
    return null;
  }
}
