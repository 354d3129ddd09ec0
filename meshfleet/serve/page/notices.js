// Tells on the desktop that somebody is needed, once for each thing, where the reader asked for it and looks elsewhere.

import { go } from "./address.js";
import { unfolded } from "./attention.js";
import { mark, say, show } from "./dom.js";
import { agentOf, nodeOf } from "./fleet.js";

const KEPT = "meshfleet.notices";
/** So many are told one by one; more at once are told of as a number. */
const AT_ONCE = 3;

const button = document.getElementById("notices");
const can = "Notification" in window && window.isSecureContext;

let wanted = kept();
/** What was there at the last look. Null before the first: what a page finds is not news. */
let known = null;

show(button, can);
showButton();
button.addEventListener("click", async () => {
  if (wanted && Notification.permission === "granted") keep(false);
  else keep((await Notification.requestPermission()) === "granted");
  showButton();
});

/** Look at a view as it comes: a page that nobody looks at is not drawn. */
export function notice(view) {
  const items = unfolded(view);
  const news = known === null ? [] : items.filter((item) => !known.has(item.key));
  known = new Set(items.map((item) => item.key));
  if (!news.length || !document.hidden || !can || !wanted || Notification.permission !== "granted") return;
  for (const item of news.slice(0, news.length > AT_ONCE ? AT_ONCE - 1 : AT_ONCE)) {
    tell(item.subject, item.text, item.key, placeOf(view, item.subject));
  }
  if (news.length > AT_ONCE) tell("meshfleet", `${news.length - AT_ONCE + 1} more need somebody`, "more", {});
}

/** `tag`: one page that is open twice tells it once. */
function tell(title, body, tag, to) {
  const told = new Notification(title, { body, tag: `meshfleet ${tag}`, icon: "/page/icon.svg" });
  told.addEventListener("click", () => {
    window.focus();
    go(to, true);
    told.close();
  });
}

const placeOf = (view, name) =>
  agentOf(view, name) ? { agent: name, node: "" } : nodeOf(view, name) ? { agent: "", node: name } : {};

function showButton() {
  const blocked = can && Notification.permission === "denied";
  const on = wanted && can && Notification.permission === "granted";
  mark(button, "aria-pressed", String(on));
  say(button, blocked ? "notices are blocked" : on ? "notices on" : "notify me");
  mark(button, "title", blocked ? "This browser blocks notices of this site: its settings say so, and can let them." :
    "On the desktop, once for each thing, while you look at something else");
}

function kept() {
  try {
    return localStorage.getItem(KEPT) === "on";
  } catch {
    return false;
  }
}

function keep(next) {
  wanted = next;
  try {
    if (next) localStorage.setItem(KEPT, "on");
    else localStorage.removeItem(KEPT);
  } catch {
    // Storage may be switched off: then it holds for as long as the page is open.
  }
}
