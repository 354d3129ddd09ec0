// Numbers and times as people read them. What is not known is a dash, never a zero.

export const UNKNOWN = "–";

/** Seconds as one or two units: 0.4 s, 12 s, 3 min, 1 h 04 min, 2 d 3 h. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return UNKNOWN;
  if (seconds < 0) return "0 s";
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 119.5) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${String(minutes % 60).padStart(2, "0")} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** Whole seconds for what ticks beside other text: 12 s, 3 min 05 s, 1 h 04 min. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${String(whole % 60).padStart(2, "0")} s`;
  return duration(whole);
}

/** A count in up to three digits: 812, 7k, 40.1k, 1.89M. */
export function count(number) {
  if (number === null || number === undefined) return UNKNOWN;
  for (const [size, unit] of [[1e9, "B"], [1e6, "M"], [1e3, "k"]]) {
    if (number >= size) {
      const scaled = number / size;
      const digits = scaled >= 100 ? 0 : scaled >= 10 ? 1 : 2;
      return `${Number(scaled.toFixed(digits))}${unit}`;
    }
  }
  return String(number);
}

const EXACT = new Intl.NumberFormat("en-US");
const DOLLARS = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });

/** The whole number, for titles. */
export function exact(number) {
  return number === null || number === undefined ? "not known" : EXACT.format(number);
}

/** Money. Less than a cent says so. */
export function money(usd) {
  if (usd === null || usd === undefined) return UNKNOWN;
  return usd > 0 && usd < 0.005 ? "< $0.01" : DOLLARS.format(usd);
}

/** Per cent without decimals; nothing is called full that is not. */
export function percent(value) {
  return `${value > 99 && value < 100 ? 99 : Math.round(value)} %`;
}

const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

/** A moment in the reader's own time zone; with its day if it is not of the last twelve hours. */
export function moment(milliseconds, now) {
  if (!Number.isFinite(milliseconds)) return UNKNOWN;
  return (now !== undefined && Math.abs(now - milliseconds) > 43_200_000 ? DAY : TIME).format(milliseconds);
}

/** 1 agent, 2 agents. */
export function plural(number, word) {
  return `${number} ${word}${number === 1 ? "" : "s"}`;
}
