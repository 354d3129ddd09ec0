// The closed sets of the fleet, each with a glyph beside its word, so that colour is never the only carrier.

export const STATUS = {
  starting: { glyph: "◔", word: "starting", tone: "busy" },
  working: { glyph: "●", word: "working", tone: "good" },
  tool: { glyph: "◆", word: "tool", tone: "busy" },
  waiting: { glyph: "▲", word: "waiting", tone: "warn" },
  idle: { glyph: "○", word: "idle", tone: "calm" },
  rate_limited: { glyph: "◑", word: "rate limited", tone: "warn" },
  error: { glyph: "✖", word: "error", tone: "bad" },
  exited: { glyph: "■", word: "exited", tone: "calm" },
};

export const PRESENCE = {
  fresh: { glyph: "●", word: "fresh", tone: "good" },
  stale: { glyph: "◐", word: "stale", tone: "warn" },
  unreachable: { glyph: "◌", word: "unreachable", tone: "warn" },
  down: { glyph: "✖", word: "down", tone: "bad" },
  left: { glyph: "■", word: "left", tone: "calm" },
};

export const STANDING = {
  connected: { glyph: "●", word: "connected", tone: "good" },
  degraded: { glyph: "◐", word: "degraded", tone: "warn" },
  split: { glyph: "◑", word: "split", tone: "warn" },
  partitioned: { glyph: "✖", word: "partitioned", tone: "bad" },
  isolated: { glyph: "✖", word: "isolated", tone: "bad" },
  resuming: { glyph: "◔", word: "resuming", tone: "warn" },
};

/** What a standing means to whoever reads this node's view. */
export const MEANING = {
  degraded: "is under strain: what it says of others may come late.",
  split: "sees a part of the fleet cut off, and is itself with the larger part. The others' last known state is shown.",
  partitioned: "is itself cut off from half of the fleet or more. Silence proves nothing here: nobody is called down.",
  isolated: "hears nobody, so it is itself the one cut off. All of the others' states below are from before.",
  resuming: "was suspended and has just come back. Ages start again; give it a moment.",
};

const OTHER = { glyph: "?", tone: "calm" };

/** The entry for `name`; a word that a newer node made up is shown as it is. */
export function look(words, name) {
  return words[name] ?? { ...OTHER, word: String(name) };
}
