// The page: one view at a time, drawn when it comes and again each second, because ages go on.

import { go as goTo, place, watchPlace } from "./address.js";
import { look, showAgents } from "./agents.js";
import { showAttention } from "./attention.js";
import { reading } from "./clockwork.js";
import { showDetail } from "./detail.js";
import { say } from "./dom.js";
import { showHeader } from "./header.js";
import "./keys.js";
import { showLimits } from "./limits.js";
import { follow } from "./live.js";
import { showLocked } from "./locked.js";
import { showMap } from "./map.js";
import { showNodes } from "./nodes.js";
import { notice } from "./notices.js";
import { watchRoom } from "./room.js";
import { hasSession, openLink, watchSession } from "./session.js";
import { showShares } from "./shares.js";
import { showTotals } from "./totals.js";
import { showZones } from "./zones.js";

let view = null;
let arrivedAt = 0;
let link = "connecting";
let following = false;

function draw() {
  look();
  const now = view === null ? null : reading(view, arrivedAt, link === "lost");
  showHeader(view, link, now);
  if (view === null) return;
  showTotals(view, now);
  const needed = showAttention(view, now);
  showLimits(view, now);
  showShares("tools", view.totals.by_tool);
  showShares("models", view.totals.by_model);
  showMap(view);
  showAgents(view, now);
  showZones(view);
  showNodes(view, now);
  showDetail(view, now);
  const own = view.nodes.find((node) => node.name === view.served_by.node);
  say(document.getElementById("footer-version"), `meshfleet ${own?.version ?? ""}`);
  const title = `${needed ? `(${needed}) ` : ""}${view.served_by.node} · meshfleet`;
  if (document.title !== title) document.title = title;
}

let due = false;

/** Draw with the next frame, once, however much came in before it. A hidden page draws when it is looked at. */
function drawSoon() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    draw();
  });
}

document.getElementById("push-example").textContent =
  `curl -X POST ${location.origin}/v1/agents/my-agent/state \\\n  -H 'Content-Type: application/json' \\\n` +
  `  -d '{"agent_id": "my-agent", "runtime": "curl", "status": "working", "timestamp": "${new Date().toISOString()}"}'`;

watchPlace(drawSoon);
watchRoom(drawSoon);
document.getElementById("switch").addEventListener("toggle", drawSoon);

// What leads to a place within the page leads there without losing the filter.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href^='#']");
  if (!link || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  const [, name, value] = /^#\/(agent|node)=(.*)$/.exec(link.getAttribute("href")) ?? [];
  if (name === undefined) return;
  event.preventDefault();
  const to = { agent: "", node: "", [name]: decodeURIComponent(value) };
  goTo(to, place.agent !== to.agent || place.node !== to.node);
});

setInterval(drawSoon, 1_000);
drawSoon();

/** Follow the fleet while there is a session; where there is none, say how to get one. */
async function go(failed = null) {
  showLocked(failed);
  if (following) return;
  if (!hasSession()) {
    link = "locked";
    drawSoon();
    return;
  }
  following = true;
  await follow({
    onView(told) {
      view = told;
      arrivedAt = performance.now();
      notice(view);
      drawSoon();
    },
    onLink(state) {
      link = state;
      drawSoon();
    },
  });
  following = false;
  go();
}

watchSession(go);
go(await openLink());
