// What can be done without a mouse. Keys that are typed into a field, or with a modifier, are left alone.

import { go, place } from "./address.js";
import { groupByNext, turnLayout } from "./agents.js";
import { KEYS } from "./matching.js";

const at = (id) => document.getElementById(id);
const help = at("help");

at("help-texts").textContent = KEYS[0].join(", ");
at("help-numbers").textContent = KEYS[1].join(", ");
at("help-button").addEventListener("click", () => help.showModal());
at("skip").addEventListener("click", (event) => {
  event.preventDefault();
  at("agents").focus();
});

const BY_KEY = {
  j: () => step(1),
  k: () => step(-1),
  ArrowDown: (event) => inRows(event) && step(1),
  ArrowUp: (event) => inRows(event) && step(-1),
  "/": () => at("filter").select(),
  "?": () => help.showModal(),
  g: groupByNext,
  v: turnLayout,
  Escape: leave,
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
  const field = event.target.closest("input, select, textarea");
  if (field !== null && event.key !== "Escape") return;
  const act = BY_KEY[event.key];
  if (act !== undefined && act(event) !== false) event.preventDefault();
});

const inRows = (event) => event.target.closest("#agents-rows") !== null;

/** To the agent after or before the one that has the focus, or else is open. */
function step(by) {
  const names = [...document.querySelectorAll("#agents-rows a.name")];
  const from = names.findIndex((name) => name === document.activeElement || (document.activeElement === document.body && name.closest("[aria-current]")));
  const name = names[from < 0 ? 0 : Math.min(names.length - 1, Math.max(0, from + by))];
  if (name === undefined) return;
  name.focus({ preventScroll: true });
  name.closest("tr").scrollIntoView({ block: "nearest" });
  // Who reads along the list reads the details along with it.
  if (place.agent) go({ agent: name.title });
}

/** One thing at a time: the menu, the field, the panel, the filter. */
function leave(event) {
  if (at("switch").open) {
    at("switch").open = false;
    at("switch").firstElementChild.focus();
  } else if (event.target === at("filter")) {
    if (place.q) go({ q: "" });
    else at("filter").blur();
  } else if (place.agent || place.node) {
    close();
  } else if (place.q) {
    go({ q: "" });
  }
}

/** Close the panel, and go back to the row that it was about. */
export function close() {
  const was = place.agent || place.node;
  go({ agent: "", node: "" });
  const row = [...document.querySelectorAll("a.name")].find((name) => name.title === was && name.closest("table"));
  row?.focus({ preventScroll: true });
}
