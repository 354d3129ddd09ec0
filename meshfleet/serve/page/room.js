// Whether there is room for rows, or each becomes a card: by what is left for a table, not by the window.

const ROW_PX = 860;

const room = new Map();

/** Call `onChange()` when the layout of a section's table has to be another. */
export function watchRoom(onChange) {
  const watch = new ResizeObserver((entries) => {
    let changed = false;
    for (const { target, contentRect } of entries) {
      const narrow = contentRect.width > 0 && contentRect.width < ROW_PX;
      if (room.get(target.id) !== narrow) changed = true;
      room.set(target.id, narrow);
    }
    if (changed) onChange();
  });
  for (const id of ["agents", "nodes"]) watch.observe(document.getElementById(id));
}

/** `table` or `cards`, for the section `id`. */
export function layoutOf(id, wanted = "table") {
  return room.get(id) ? "cards" : wanted;
}
