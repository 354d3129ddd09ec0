// Who serves this page, how well it stands, how old what you see is, and whether the page still hears it.

import { addressOf, place } from "./address.js";
import { badge } from "./badge.js";
import { h, keyed, mark, say, show } from "./dom.js";
import { pageOf } from "./fleet.js";
import { duration, moment, plural } from "./format.js";
import { natural } from "./ordering.js";
import { look, MEANING, PRESENCE, STANDING } from "./words.js";

const at = (id) => document.getElementById(id);
const standing = badge(STANDING);
at("server-standing").replaceChildren(standing.element);

const LINK = {
  connecting: "◔ connecting",
  live: "● live",
  polling: "◐ polling every 2 s",
  lost: "✖ connection lost",
  locked: "◌ no session",
};

/** `link`: one of the words below; `view` and `now` may still be null. */
export function showHeader(view, link, now) {
  mark(at("link"), "data-link", link);
  say(at("link"), LINK[link]);
  mark(document.body, "data-link", link);
  showLost(view, link);
  show(at("server"), view !== null);
  if (view === null) return;
  const server = view.served_by;
  say(at("server-name"), server.node);
  standing.tell(server.standing, link === "lost" ? "was " : "");
  if (link === "lost") mark(standing.element, "data-tone", "calm");
  const told = Date.parse(view.now);
  say(at("as-of"), moment(told));
  mark(at("as-of"), "datetime", view.now);
  mark(at("as-of"), "title", view.now);
  showStanding(view, now);
  showCuts(server.cuts);
  showSlowed(server);
  if (at("switch").open) showOthers(at("switch-list"), view);
}

document.addEventListener("click", (event) => {
  if (at("switch").open && !at("switch").contains(event.target)) at("switch").open = false;
});

function showLost(view, link) {
  const lost = link === "lost";
  show(at("lost"), lost);
  if (!lost) return;
  // No running seconds in here: an alert is read out at each change.
  const words =
    view === null
      ? "No node answers here. Start it with `meshfleet up`; this page keeps trying."
      : `Connection to node ${view.served_by.node} lost. What you see is as of ${moment(Date.parse(view.now))}; this page keeps trying.`;
  say(at("lost-text"), `✖ ${words}`);
  const others = view === null ? [] : reachable(view);
  show(at("lost-others"), others.length > 0);
  keyed(at("lost-list"), others, (node) => node.name, makeLink);
}

/** The nodes whose own page can be gone to, those first that are likely to answer. */
function reachable(view) {
  const rank = (node) => (node.presence === "fresh" ? 0 : node.presence === "stale" ? 1 : 2);
  return view.nodes
    .filter((node) => node.name !== view.served_by.node && node.presence !== "left" && pageOf(node.base_url) !== null)
    .sort((a, b) => rank(a) - rank(b) || natural(a.name, b.name))
    .slice(0, 24);
}

function showOthers(list, view) {
  const others = reachable(view);
  const rows = others.length ? others : [{ name: "", none: true }];
  keyed(list, rows, (node) => node.name, (node) => {
    if (node.none) return { element: h("li", { class: "quiet" }, "No other node is known to serve a page."), update() {} };
    const link = makeLink(node);
    const presence = badge(PRESENCE);
    return {
      element: h("li", {}, link.element, presence.element),
      update(told) {
        link.update(told);
        presence.tell(told.presence);
      },
    };
  });
}

/** A link to the same place in that node's page. No session goes along: what a node says is its address may be anybody's,
 * and a token that was sent there would be theirs. */
function makeLink(first) {
  const element = h("a", { rel: "noopener noreferrer", class: "other" }, first.name);
  return {
    element,
    update(node) {
      const page = pageOf(node.base_url);
      mark(element, "href", page === null ? null : page + addressOf({ ...place, layout: "" }));
      mark(element, "title", `the fleet as ${node.name} sees it, at ${node.base_url}`);
    },
  };
}

function showStanding(view, now) {
  const server = view.served_by;
  const meaning = MEANING[server.standing];
  show(at("standing"), meaning !== undefined);
  if (meaning === undefined) return;
  say(at("standing-text"), `${look(STANDING, server.standing).glyph} ${server.standing.toUpperCase()}: node ${server.node} ${meaning}`);
  const beyond = beyondTheCut(server);
  const agents = view.agents.filter((agent) => beyond.includes(agent.node)).length;
  const since = Date.parse(server.since);
  say(
    at("standing-beyond"),
    `${beyond.length ? `Beyond the cut: ${beyond.join(", ")}, with ${plural(agents, "agent")}. ` : ""}` +
      `Since ${moment(since, now.wall)} (${duration((now.wall - since) / 1000)}).`,
  );
  say(at("standing-why"), server.reasons.length ? `Why: ${server.reasons.join("; ")}.` : "");
  mark(at("standing"), "data-tone", look(STANDING, server.standing).tone);
}

/** Cuts within what is heard: somebody reaches both sides. */
function showCuts(cuts) {
  show(at("cuts"), cuts.length > 0);
  say(at("cuts"), cuts.map((cut) => `◑ ${cutWords(cut)}`).join("  "));
}

/** Where all say too much together, snapshots wait for their turn: ages and figures are older than usual. */
function showSlowed({ node, slowed }) {
  show(at("slowed"), slowed > 1);
  say(at("slowed"), `◔ The fleet says too much: snapshots of agents of ${node} go ${slowed} times as seldom.`);
}

/** A cut as a sentence. */
export function cutWords({ left, right, bridges }) {
  const over = bridges.length ? `; ${bridges.join(", ")} ${bridges.length === 1 ? "reaches" : "reach"} both` : "";
  return `Nothing passes directly between ${left.join(", ")} and ${right.join(", ")}${over}.`;
}

/** Names on islands other than the serving node's own. */
export function beyondTheCut(server) {
  return server.islands.filter((island) => !island.includes(server.node)).flat();
}
