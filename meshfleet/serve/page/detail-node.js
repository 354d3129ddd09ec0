// All that is known of one node.

import { addressOf, place } from "./address.js";
import { badge } from "./badge.js";
import { ageOf } from "./clockwork.js";
import { h, keyed, mark, say, show } from "./dom.js";
import { agentOf, pageOf } from "./fleet.js";
import { figures, part } from "./figures.js";
import { duration, moment, UNKNOWN } from "./format.js";
import { agentName, skew } from "./row.js";
import { happenings, whyStory } from "./stories.js";
import { look, PRESENCE, STATUS } from "./words.js";

const SHOWN = 50;

/** {element, update(node, now, view), why(story), events(events)}. */
export function nodeDetail() {
  const presence = badge(PRESENCE);
  const note = h("p", { class: "note" });
  const turn = h("a", { class: "turn", rel: "noopener noreferrer" });
  const told = figures("What is known of it");
  const agents = h("ul", { class: "family" });
  const more = h("p", { class: "quiet" });
  const [why, events] = [whyStory(), happenings()];
  const agentsPart = part("Agents", agents, more);
  return {
    element: h(
      "div",
      { class: "detail-body" },
      h("p", { class: "badges" }, presence.element),
      note,
      h("p", {}, turn),
      told.element,
      agentsPart,
      part("Why it is judged so", why.element),
      part("What happened", events.element),
    ),
    update(node, now, view) {
      const self = node.name === view.served_by.node;
      presence.tell(node.presence, "", `${node.certainty ? `, ${node.certainty}` : ""}${self ? "" : ` · ${duration(ageOf(node, now))} ago`}`);
      say(note, node.reasons.join("; "));
      const page = self ? null : pageOf(node.base_url);
      show(turn, page !== null);
      mark(turn, "href", page === null ? null : page + addressOf({ ...place, layout: "" }));
      say(turn, `Open the fleet as ${node.name} sees it →`);
      told.update(figuresOf(node, now, self));
      show(agentsPart, node.agents.length > 0);
      keyed(agents, node.agents.slice(0, SHOWN), (id) => id, makeAgent, view);
      say(more, node.agents.length > SHOWN ? `and ${node.agents.length - SHOWN} more` : "");
    },
    why: why.tell,
    events: events.tell,
  };
}

function makeAgent(id) {
  const status = badge(STATUS);
  return {
    element: h("li", {}, agentName(id), " ", status.element),
    update(_id, view) {
      const agent = agentOf(view, id);
      if (agent) status.tell(agent.state.status);
    },
  };
}

function figuresOf(node, now, self) {
  return [
    ["presence", look(PRESENCE, node.presence).word, `since ${moment(Date.parse(node.since), now.wall)}`],
    ["role", node.role, null],
    ["reached", self ? "this node itself" : (node.reach ?? "not at all"), node.transport && !self ? `by ${node.transport}` : null],
    ["round trip", node.rtt_ms === null ? UNKNOWN : `${node.rtt_ms.toFixed(1)} ms`, null],
    ["clock", self ? "its own" : node.clock_offset_ms === null ? UNKNOWN : skew(node.clock_offset_ms), self ? null : "against the serving node's"],
    ["last heard", node.last_seen ? moment(Date.parse(node.last_seen), now.wall) : UNKNOWN, null],
    ["host", node.host, node.zone ? `zone ${node.zone}` : null],
    ["running since", moment(node.epoch, now.wall), `epoch ${node.epoch}`],
    ["incarnation", String(node.incarnation), "times that it refuted a suspicion"],
    ["version", node.version, null],
    ["address", node.base_url ?? UNKNOWN, node.base_url ? "as it says itself" : null],
  ];
}
