// The panel about one agent or node: what is shown of it, and what is asked of the serving node while it is open.

import { place } from "./address.js";
import { agentDetail } from "./detail-agent.js";
import { nodeDetail } from "./detail-node.js";
import { h, mark, show } from "./dom.js";
import { agentOf, nodeOf } from "./fleet.js";
import { close } from "./keys.js";
import { ask } from "./session.js";

const AGAIN_MS = 5_000;
const ANSWER_MS = 5_000;
const EVENTS = 50;

const panel = document.getElementById("detail");
let open = null;

export function showDetail(view, now) {
  const name = place.agent || place.node;
  const kind = place.agent ? "agent" : "node";
  show(panel, Boolean(name));
  mark(document.body, "data-detail", name ? kind : null);
  if (!name) {
    open = null;
    panel.replaceChildren();
    return;
  }
  if (open?.name !== name || open.kind !== kind) begin(kind, name);
  const subject = kind === "agent" ? agentOf(view, name) : nodeOf(view, name);
  show(open.unknown, subject === undefined);
  show(open.inner.element, subject !== undefined);
  if (subject === undefined) return;
  open.inner.update(subject, now, view);
  if (performance.now() - open.askedAt > AGAIN_MS) load(open);
}

function begin(kind, name) {
  const fresh = open === null;
  const title = h("h2", { id: "detail-title", tabindex: "-1" }, h("span", { class: "kind" }, kind), " ", name);
  const button = h("button", { type: "button", class: "plain", title: "Close (Esc)", "aria-label": "Close" }, "✕");
  button.addEventListener("click", close);
  const unknown = h("p", { class: "empty" }, `This node knows no ${kind} of that name. It may have gone, or be spelt differently.`);
  const inner = kind === "agent" ? agentDetail() : nodeDetail();
  open = { kind, name, inner, unknown, askedAt: -Infinity };
  panel.replaceChildren(h("header", {}, title, button), unknown, inner.element);
  panel.scrollTop = 0;
  // Who goes from row to row stays there; who opened this is led to it.
  const stays = !fresh && document.activeElement?.matches("#agents-rows a.name, #nodes-rows a.name");
  if (!stays) title.focus({ preventScroll: true });
}

/** Ask for what the view does not hold. Answers about what is no longer open are dropped. */
async function load(about) {
  about.askedAt = performance.now();
  const path = about.name.split("/").map(encodeURIComponent).join("/");
  const asked = [
    told(`/v1/why/${path}`).then((story) => story && about.inner.why(story)),
    told(`/v1/events?limit=${EVENTS}&subject=${encodeURIComponent(about.name)}`).then((said) => said && about.inner.events(said.events)),
  ];
  if (about.kind === "agent") {
    asked.push(told(`/v1/agents/${path}/history`).then((history) => about.inner.history(history)));
  }
  await Promise.allSettled(asked);
}

async function told(path) {
  try {
    const answer = await ask(path, { signal: AbortSignal.timeout(ANSWER_MS) });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null; // the banner says already that the node is not heard
  }
}
