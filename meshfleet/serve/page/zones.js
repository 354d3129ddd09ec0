// The other zones of a fleet on two levels: sums, how each is heard, and who there needs somebody.

import { badge } from "./badge.js";
import { h, keyed, mark, say, show } from "./dom.js";
import { count, duration, money, UNKNOWN } from "./format.js";
import { PRESENCE } from "./words.js";

export function showZones(view) {
  const zones = view.zones ?? [];
  show(document.getElementById("zones"), zones.length > 0);
  keyed(document.getElementById("zones-list"), zones, (zone) => zone.zone, makeZone, view);
}

const total = (counts) => Object.entries(counts).reduce((sum, [word, n]) => (word === "left" ? sum : sum + n), 0);

/** `98 nodes, 1 down, 2 stale`: what is as it should be is not worth a word. */
function ofNodes(nodes) {
  const parts = [`${total(nodes)} ${total(nodes) === 1 ? "node" : "nodes"}`];
  for (const word of ["down", "unreachable", "stale"]) if (nodes[word]) parts.push(`${nodes[word]} ${word}`);
  return parts.join(", ");
}

function ofAgents(sums) {
  const parts = [`${total(sums.agents)} ${total(sums.agents) === 1 ? "agent" : "agents"}`];
  for (const word of ["waiting", "error", "rate_limited"]) if (sums.by_status[word]) parts.push(`${sums.by_status[word]} ${word.replace("_", " ")}`);
  return parts.join(", ");
}

function makeZone(first) {
  const presence = badge(PRESENCE);
  const [age, nodes, agents, spent, worst, why] = Array.from({ length: 6 }, () => h("span", {}));
  const element = h(
    "li",
    { class: "zone-card" },
    h("p", { class: "headline" }, h("strong", {}, first.zone), presence.element, age),
    h("p", {}, nodes),
    h("p", {}, agents, h("span", { class: "quiet" }, " · "), spent),
    h("p", { class: "worst" }, worst),
    h("p", { class: "quiet why" }, why),
  );
  mark(age, "class", "quiet");
  return {
    element,
    update(zone) {
      const { sums } = zone;
      const [notice] = sums.attention;
      mark(element, "data-presence", zone.presence);
      presence.tell(zone.presence, "", "");
      say(age, zone.presence === "fresh" ? "" : `for ${duration(zone.age_s)}`);
      say(nodes, ofNodes(sums.nodes));
      say(agents, ofAgents(sums));
      say(spent, sums.cost_usd === null ? UNKNOWN : money(sums.cost_usd));
      say(worst, notice === undefined ? "" : `${notice.subject}: ${notice.text}${sums.notices > 1 ? `, and ${count(sums.notices - 1)} more` : ""}`);
      mark(worst, "data-severity", notice?.severity ?? null);
      say(why, zone.presence === "fresh" ? "" : zone.reasons.join("; "));
    },
  };
}
