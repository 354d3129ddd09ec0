import { h, mark, say } from "./dom.js";
import { look } from "./words.js";

/** A glyph and a word in one tone, as something that can be told anew. */
export function badge(words) {
  const glyph = h("span", { class: "glyph", "aria-hidden": "true" });
  const word = h("span", { class: "word" });
  const element = h("span", { class: "badge" }, glyph, word);
  return {
    element,
    tell(name, before = "", after = "") {
      const entry = look(words, name);
      say(glyph, entry.glyph);
      say(word, `${before}${entry.word}${after}`);
      mark(element, "data-tone", entry.tone);
    },
  };
}
