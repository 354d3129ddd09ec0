// What the page reads with: a session token, traded for the one-time code of its link, and for the next one in time.
//
// The code comes behind '#', which no browser sends to anybody, so it is in no server's log. It is taken out of the address
// bar at once, works once, and is of no use afterwards. The token is kept for this tab alone, and sent as a header.

const KEPT = "meshfleet.session";
// As every reader does: the rest of the session is for nodes that don't answer at once.
const REFRESH_AT = 0.8;
const ANSWER_MS = 5_000;

let session = kept();
let told = () => {};
let trading = null;

/** Call `onChange(failed)` whenever the page may read or may not any more; `failed` says why a link did not work. */
export function watchSession(onChange) {
  told = onChange;
  window.addEventListener("hashchange", async () => told(await openLink()));
}

export function hasSession() {
  return session !== null;
}

/** Trade the code in the address bar, if there is one. Resolves to a sentence where that failed, else to null. */
export async function openLink() {
  const code = codeIn(location.hash);
  if (code === null) return null;
  history.replaceState(null, "", location.pathname);
  return trade(code);
}

/** Trade the code of a link, or a bare code, that somebody pasted. The same. */
export async function trade(text) {
  const code = codeIn(text) ?? text.trim();
  return exchange({ body: JSON.stringify({ code }), headers: { "Content-Type": "application/json" } });
}

/** fetch() as this reader. A session that is no longer good is dropped; the answer is then the 401 as it came. */
export async function ask(path, options = {}) {
  await renewInTime();
  const headers = { ...options.headers, ...(session && { Authorization: `Bearer ${session.token}` }) };
  const answer = await fetch(path, { ...options, headers, cache: "no-cache", credentials: "omit" });
  if (answer.status === 401) keep(null);
  return answer;
}

function codeIn(text) {
  const found = /#code=([A-Za-z0-9_-]+)/.exec(text);
  return found === null ? null : found[1];
}

async function renewInTime() {
  if (session === null || Date.now() < session.refreshAt) return;
  trading ??= exchange({ headers: { Authorization: `Bearer ${session.token}` } }).finally(() => (trading = null));
  await trading;
}

async function exchange(options) {
  let answer;
  try {
    answer = await fetch("/auth/session", {
      method: "POST",
      credentials: "omit",
      signal: AbortSignal.timeout(ANSWER_MS),
      ...options,
    });
    const said = await answer.json();
    if (answer.ok) {
      keep({ token: said.token, refreshAt: Date.now() + 1_000 * REFRESH_AT * said.expires_in_s });
      return null;
    }
    // A page whose day is over goes on with what it has until that ends.
    return said.error;
  } catch {
    return "The node did not answer.";
  }
}

function keep(next) {
  session = next;
  try {
    if (next === null) sessionStorage.removeItem(KEPT);
    else sessionStorage.setItem(KEPT, JSON.stringify(next));
  } catch {
    // Storage may be switched off: then a reload asks for a new link.
  }
  told();
}

function kept() {
  try {
    const found = JSON.parse(sessionStorage.getItem(KEPT));
    return typeof found?.token === "string" ? found : null;
  } catch {
    return null;
  }
}
