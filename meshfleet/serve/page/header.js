// Who serves this page, how well it stands, how old what you see is, and whether the page still hears it.

import { badge } from "./badge.js";
import { mark, say, show } from "./dom.js";
import { moment } from "./format.js";
import { MEANING, STANDING } from "./words.js";

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
  if (view === null) return;
  const server = view.served_by;
  say(at("server-name"), server.node);
  standing.tell(server.standing);
  const told = Date.parse(view.now);
  say(at("as-of"), moment(told));
  mark(at("as-of"), "datetime", view.now);
  mark(at("as-of"), "title", view.now);
  showStanding(server, now);
}

function showLost(view, link) {
  const lost = link === "lost";
  show(at("lost"), lost);
  if (!lost) return;
  // No running seconds in here: an alert is read out at each change.
  const words =
    view === null
      ? "No node answers here. Start it with `meshfleet up`; this page keeps trying."
      : `Connection to node ${view.served_by.node} lost. What you see is as of ${moment(Date.parse(view.now))}; this page keeps trying.`;
  say(at("lost"), `✖ ${words}`);
}

function showStanding(server, now) {
  const meaning = MEANING[server.standing];
  show(at("standing"), meaning !== undefined);
  if (meaning === undefined) return;
  const beyond = beyondTheCut(server);
  const parts = [
    `${STANDING[server.standing].glyph} ${server.standing}: node ${server.node} ${meaning}`,
    beyond.length ? `Beyond the cut: ${beyond.join(", ")}.` : "",
    server.reasons.length ? `Why: ${server.reasons.join("; ")}.` : "",
    `Since ${moment(Date.parse(server.since), now.wall)}.`,
  ];
  say(at("standing"), parts.filter(Boolean).join(" "));
  mark(at("standing"), "data-tone", STANDING[server.standing].tone);
}

/** Names on islands other than the serving node's own. */
export function beyondTheCut(server) {
  return server.islands.filter((island) => !island.includes(server.node)).flat();
}
