// Which rows are in the page, where there are too many for all of them to be.
//
// A thousand rows are 35,000 elements. The browser walks through all of them in each frame that scrolls: 25 ms of layout and
// pre-paint, where a frame has 16.7. So beyond some hundred only those near what is seen are there, between two paddings as
// high as the rest. Their heights are fixed for that; the style has the same numbers.

/** Up to so many, all rows are there: the browser's own search finds them. Beyond, the filter does. */
export const ALL = 150;
/** How far beyond what is seen rows are there: scrolling shows them before a script hears of it. */
const BEYOND_PX = 700;

const HEIGHTS = { table: { agent: 49, group: 35, gap: 0 }, cards: { agent: 172, group: 35, gap: 10 } };
const CARD_PX = 290;

/** How many cards stand side by side in such a width. */
export const columnsIn = (width) => Math.max(1, Math.floor((width + HEIGHTS.cards.gap) / (CARD_PX + HEIGHTS.cards.gap)));

/** What stands side by side: {from, to, top} of each line, indices and pixels; and how high all of it is. */
export function linesOf(rows, layout, columns) {
  const heights = HEIGHTS[layout];
  const abreast = layout === "cards" ? columns : 1;
  const lines = [];
  let top = 0;
  for (let from = 0; from < rows.length; ) {
    const { kind } = rows[from];
    let to = from + 1;
    while (kind === "agent" && to < rows.length && to - from < abreast && rows[to].kind === "agent") to += 1;
    lines.push({ from, to, top });
    top += heights[kind] + heights.gap;
    from = to;
  }
  return { lines, height: Math.max(0, top - heights.gap), gap: heights.gap };
}

/** The rows to have in the page, as indices, and the paddings before and after them. `seen`: from where to where somebody
 * looks, in pixels from the first row. */
export function windowOf({ lines, height, gap }, seen) {
  if (!lines.length) return { from: 0, to: 0, before: 0, after: 0 };
  const first = lineAt(lines, seen.top - BEYOND_PX);
  const last = lineAt(lines, seen.bottom + BEYOND_PX);
  const end = last + 1 < lines.length ? lines[last + 1].top - gap : height;
  return { from: lines[first].from, to: lines[last].to, before: lines[first].top, after: height - end };
}

/** The line of a row. */
export const lineOf = ({ lines }, row) => lines[search(lines, (line) => line.from <= row)];

const lineAt = (lines, y) => search(lines, (line) => line.top <= y);

/** The last line for which it holds; the first where it holds for none. */
function search(lines, holds) {
  let [low, high] = [0, lines.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (holds(lines[middle])) low = middle;
    else high = middle - 1;
  }
  return low;
}
