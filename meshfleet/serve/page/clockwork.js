// Time goes on between two views. All ages count from the moment the view arrived, on this browser's steady clock;
// the serving node's clock is only added to.

/** What time it is in `view`, and how much of it passed since it arrived: none while the node is not heard (`frozen`),
 * so that everything shown is as of the view's own time. */
export function reading(view, arrivedAt, frozen) {
  const passed = frozen ? 0 : Math.max(0, (performance.now() - arrivedAt) / 1000);
  return { passed, wall: Date.parse(view.now) + passed * 1000 };
}

/** The age of a node or an agent. A fresh one's is told as it came: the next beat is due before it means anything. */
export function ageOf(subject, now) {
  return subject.presence === "fresh" ? subject.age_s : subject.age_s + now.passed;
}

/** How long something runs that began at `since`, for a subject whose last word may be old. */
export function runningFor(since, subject, now) {
  const began = Date.parse(since);
  if (Number.isNaN(began)) return null;
  const until = subject.presence === "fresh" || !subject.last_seen ? now.wall : Date.parse(subject.last_seen);
  return Math.max(0, (until - began) / 1000);
}
