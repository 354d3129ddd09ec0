// What the page shows, kept behind '#' in its address, so that it can be linked to, reloaded and gone back from:
// `#/q=zone:east&group=node&sort=-cost&agent=box-1/claude`. It is never sent to anybody. How somebody likes to look
// (sort, group, layout) is also remembered by this browser.

const KEPT = "meshfleet.looks";
const REMEMBERED = ["sort", "group", "layout"];
const NAMES = ["q", ...REMEMBERED, "agent", "node"];

let looks = remembered();
let listener = () => {};

/** What the address says, each a string, "" where it says nothing. */
export let place = read();

/** Call `onChange()` whenever `place` has changed. */
export function watchPlace(onChange) {
  listener = onChange;
  window.addEventListener("hashchange", () => {
    if (location.hash.startsWith("#code=")) return;
    place = read();
    listener();
  });
}

/** Go to `change`, the rest as it is. `back`: whether the way back leads here. */
export function go(change, back = false) {
  const next = { ...place, ...change };
  if (NAMES.every((name) => next[name] === place[name])) return;
  place = next;
  remember();
  history[back ? "pushState" : "replaceState"](null, "", addressOf(next) || location.pathname);
  listener();
}

/** `#/…` of such a place; "" where there is nothing to say. */
export function addressOf(of) {
  const words = NAMES.filter((name) => of[name]).map((name) => `${name}=${escaped(of[name])}`);
  return words.length ? `#/${words.join("&")}` : "";
}

/** Readable: only what would end the value is escaped. */
function escaped(text) {
  return text.replace(/[%&#+\s"<>`\\^{|}]/g, (found) => encodeURIComponent(found));
}

function read() {
  const told = Object.fromEntries(NAMES.map((name) => [name, looks[name] ?? ""]));
  for (const pair of location.hash.replace(/^#\/?/, "").split("&")) {
    const [name, ...rest] = pair.split("=");
    if (!NAMES.includes(name)) continue;
    try {
      told[name] = decodeURIComponent(rest.join("=")).slice(0, 400);
    } catch {
      // A broken escape says nothing.
    }
  }
  if (told.agent) told.node = "";
  return told;
}

function remember() {
  looks = Object.fromEntries(REMEMBERED.map((name) => [name, place[name]]));
  try {
    localStorage.setItem(KEPT, JSON.stringify(looks));
  } catch {
    // Storage may be switched off: then it is kept for as long as the page is open.
  }
}

function remembered() {
  try {
    const found = JSON.parse(localStorage.getItem(KEPT)) ?? {};
    return Object.fromEntries(REMEMBERED.map((name) => [name, typeof found[name] === "string" ? found[name] : ""]));
  } catch {
    return {};
  }
}
