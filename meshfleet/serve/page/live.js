// Follows /v1/fleet/events for as long as there is a session. When the stream ends or falls silent: ask once for the view
// itself (all streams may be taken), then try again. Who listens is told which of the four it is: connecting, live,
// polling, lost.
// EventSource can't send a token, so the stream is read by fetch, and its events taken apart here.

import { applied } from "./changing.js";
import { ask, hasSession } from "./session.js";

// The node says something every 5 s at the latest, so two missed signs are silence: a stopped process keeps its connection
// open, and no error would ever come.
const SILENCE_MS = 12_000;
const POLL_MS = 2_000;
const PATIENCE_MS = [500, 1_000, 2_000, 3_000, 5_000];
const ANSWER_MS = 5_000;

export async function follow({ onView, onLink }) {
  const pause = new Pause();
  let failures = 0;
  onLink("connecting");
  while (hasSession()) {
    const took = await stream((view) => {
      onView(view);
      onLink("live");
    });
    if (took) failures = 0;
    const view = await poll();
    if (view !== null) {
      onView(view);
      // After a live stream that just ended, one answer is no reason for another word: the next stream may be there.
      onLink(took ? "connecting" : "polling");
      failures = 0;
      await pause.wait(took ? 0 : POLL_MS);
    } else {
      onLink("lost");
      await pause.wait(PATIENCE_MS[Math.min(failures, PATIENCE_MS.length - 1)]);
      failures += 1;
    }
  }
}

// What the last stream told, so that the next one can go on from there: its view, and the id of its last event.
let view = null;
let lastId = null;

/** Read one stream to its end. Resolves to whether it gave anything. */
async function stream(onView) {
  const given = new AbortController();
  let watch = setTimeout(() => given.abort(), SILENCE_MS);
  const alive = () => {
    clearTimeout(watch);
    watch = setTimeout(() => given.abort(), SILENCE_MS);
  };
  let took = false;
  try {
    const headers = view !== null && lastId ? { "Last-Event-ID": lastId } : {};
    const answer = await ask("/v1/fleet/events", { signal: given.signal, headers });
    if (!answer.ok) return false;
    for await (const { event, id, data } of events(answer.body, alive)) {
      took = true;
      const told = JSON.parse(data);
      view = event === "snapshot" ? told : applied(view, told);
      lastId = id;
      onView(view);
    }
  } catch {
    // Torn off, silent for too long, or nobody there: all the same to who reads.
  } finally {
    clearTimeout(watch);
    given.abort();
  }
  return took;
}

/** Each event, as the node writes them: its data is one line of JSON. `alive` is called whenever anything comes, be it a
 * comment. */
async function* events(body, alive) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let parts = [];
  let fields = {};
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    alive();
    const lines = value.split("\n");
    // A view can come in many pieces: they are put together once, when its line is whole.
    parts.push(lines[0]);
    for (const next of lines.slice(1)) {
      const line = parts.join("");
      parts = [next];
      const colon = line.indexOf(": ");
      if (line !== "") fields[line.slice(0, colon)] = line.slice(colon + 2);
      else if ("data" in fields) yield fields;
      if (line === "") fields = {};
    }
  }
}

async function poll() {
  try {
    const answer = await ask("/v1/fleet", { signal: AbortSignal.timeout(ANSWER_MS) });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

/** A wait that ends early when the reader comes back to the page, or the machine to its network. */
class Pause {
  #wake = () => {};

  constructor() {
    window.addEventListener("online", () => this.#wake());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.#wake();
    });
  }

  wait(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
