// What can be done without a mouse. Keys that are typed into a field, or with a modifier, are left alone.

import { go, place } from "./address.js";
import { focusOn, groupByNext, named, step, turnLayout } from "./agents.js";
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
  j: () => along(1),
  k: () => along(-1),
  ArrowDown: (event) => inRows(event) && along(1),
  ArrowUp: (event) => inRows(event) && along(-1),
  "/": () => at("filter").select(),
  ":": () => {
    at("filter").focus();
    at("filter").value = ":";
  },
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

at("filter").addEventListener("keydown", (event) => {
  const field = at("filter");
  if (event.key !== "Enter" || !field.value.startsWith(":")) return;
  const to = named(field.value.slice(1).trim());
  field.setCustomValidity(to === null ? "There is no agent or node of that name." : "");
  if (to === null) return field.reportValidity();
  field.value = place.q;
  go(to, true);
});
at("filter").addEventListener("input", () => at("filter").setCustomValidity(""));

const inRows = (event) => event.target.closest("#agents-rows") !== null;

/** Who reads along the list reads the details along with it. */
function along(by) {
  const name = step(by);
  if (place.agent && name !== undefined) go({ agent: name });
}

/** One thing at a time: the menu, the field, the panel, the filter. */
function leave(event) {
  if (at("switch").open) {
    at("switch").open = false;
    at("switch").firstElementChild.focus();
  } else if (event.target === at("filter")) {
    if (at("filter").value.startsWith(":")) at("filter").value = place.q;
    else if (place.q) go({ q: "" });
    else at("filter").blur();
  } else if (place.agent || place.node) {
    close();
  } else if (place.q) {
    go({ q: "" });
  }
}

/** Close the panel, and go back to the row that it was about. */
export function close() {
  const { agent, node } = place;
  go({ agent: "", node: "" });
  if (agent) focusOn(agent);
  else [...document.querySelectorAll("#nodes-rows a.name")].find((name) => name.title === node)?.focus({ preventScroll: true });
}
