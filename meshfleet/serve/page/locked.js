// What is shown to who has no session: how to get a link, and a place to put one.

import { say, show } from "./dom.js";
import { hasSession, trade } from "./session.js";

const at = (id) => document.getElementById(id);

at("locked-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const pasted = at("locked-code");
  const failed = await trade(pasted.value);
  pasted.value = "";
  showLocked(failed);
});

/** Show or hide it. `failed`: why the last try did not work, as a sentence. */
export function showLocked(failed) {
  const locked = !hasSession();
  show(at("locked"), locked);
  show(at("view"), !locked);
  show(at("locked-failed"), Boolean(locked && failed));
  if (failed) say(at("locked-failed"), `✖ ${failed}`);
}
