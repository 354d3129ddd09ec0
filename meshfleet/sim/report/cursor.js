// A line through all lanes where the pointer is, with the time. The page says the same without it.
(() => {
  const lanes = document.querySelector(".lanes");
  const grid = lanes && lanes.querySelector(".grid");
  const cursor = lanes && lanes.querySelector(".cursor");
  if (!cursor) return;
  lanes.addEventListener("pointermove", (event) => {
    const box = grid.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    cursor.hidden = share < 0 || share > 1 || event.target.closest(".changes") !== null;
    if (cursor.hidden) return;
    cursor.style.left = `${event.clientX - lanes.getBoundingClientRect().left}px`;
    cursor.textContent = `${(share * Number(lanes.dataset.end)).toFixed(1)} s`;
    cursor.classList.toggle("flip", share > 0.9);
  });
  lanes.addEventListener("pointerleave", () => { cursor.hidden = true; });
})();
