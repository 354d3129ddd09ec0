// What is told of a subject: the evidence behind its verdict, and what happened to it.

import { h, keyed, say, show } from "./dom.js";
import { duration, moment } from "./format.js";
import { look, PRESENCE } from "./words.js";

/** The `why`: {element, tell(story)}. */
export function whyStory() {
  const verdict = h("p", { class: "verdict" }, "Asking the node…");
  const facts = h("ol", { class: "facts" });
  return {
    element: h("div", {}, verdict, facts),
    tell(story) {
      const sure = story.certainty ? ` (${story.certainty})` : "";
      const about = story.name === story.node ? "" : `, by what is known of node ${story.node}, which carries it`;
      const why = story.reasons.length ? `: ${story.reasons.join("; ")}` : "";
      say(verdict, `${look(PRESENCE, story.presence).glyph} ${story.presence}${sure}${about}${why}. ` +
        `Judged by ${story.served_by}, which is ${story.standing}.`);
      const items = story.facts.map((fact, i) => ({ ...fact, key: `${i} ${fact.kind} ${fact.by}` })).reverse();
      keyed(facts, items, (fact) => fact.key, makeFact);
    },
  };
}

function makeFact() {
  const [when, text, by] = [h("time", { class: "when" }), h("span", { class: "text" }), h("span", { class: "by" })];
  return {
    element: h("li", {}, when, text, by),
    update(fact) {
      say(when, `${duration(fact.age_s)} ago`);
      say(text, fact.detail || fact.kind.replaceAll("_", " "));
      say(by, `seen by ${fact.by}`);
    },
  };
}

/** The newest happenings first: {element, tell(events)}. */
export function happenings() {
  const none = h("p", { class: "quiet" }, "Asking the node…");
  const list = h("ol", { class: "facts" });
  return {
    element: h("div", {}, none, list),
    tell(events) {
      show(none, events.length === 0);
      say(none, "Nothing that this node remembers.");
      keyed(list, [...events].reverse(), (event) => event.id, makeHappening);
    },
  };
}

function makeHappening(event) {
  const at = h("time", { class: "when", datetime: event.at, title: event.at }, moment(Date.parse(event.at), Date.now()));
  return { element: h("li", {}, at, h("span", { class: "text" }, event.text)), update() {} };
}
