// Follows /v1/fleet/events for ever. When the stream ends or falls silent: ask once for the view itself (all streams may
// be taken), then try again. Who listens is told which of the four it is: connecting, live, polling, lost.

// The node sends an update every 2 s at the latest, so four missed ones are silence: a stopped process keeps its
// connection open, and no error would ever come.
const SILENCE_MS = 8_000;
const POLL_MS = 2_000;
const PATIENCE_MS = [500, 1_000, 2_000, 3_000, 5_000];
const ANSWER_MS = 5_000;

export async function follow({ onView, onLink }) {
  const pause = new Pause();
  let failures = 0;
  onLink("connecting");
  for (;;) {
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

/** Read one stream to its end. Resolves to whether it gave anything. */
function stream(onView) {
  return new Promise((resolve) => {
    const source = new EventSource("/v1/fleet/events");
    let took = false;
    let watch = setTimeout(end, SILENCE_MS);
    function end() {
      clearTimeout(watch);
      source.close();
      resolve(took);
    }
    function take(event) {
      took = true;
      clearTimeout(watch);
      watch = setTimeout(end, SILENCE_MS);
      onView(JSON.parse(event.data));
    }
    source.addEventListener("snapshot", take);
    source.addEventListener("update", take);
    source.addEventListener("error", end);
  });
}

async function poll() {
  try {
    const answer = await fetch("/v1/fleet", { cache: "no-cache", signal: AbortSignal.timeout(ANSWER_MS) });
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
