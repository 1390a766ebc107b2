// Numbers, times and durations in words.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 4 });
const day = new Intl.DateTimeFormat("en", { weekday: "short", timeZone: "UTC" });
const date = new Intl.DateTimeFormat("en", { day: "numeric", month: "short", timeZone: "UTC" });

const two = (n) => String(n).padStart(2, "0");

export function number(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1e6) return compact.format(value);
  return size >= 1000 ? whole.format(value) : short.format(value);
}

// Three digits: enough for a sentence.
export function round(value) {
  return number(Number(value.toPrecision(3)));
}

export function count(value) {
  if (value === null || value === undefined) return "–";
  return value >= 1e7 ? compact.format(value) : whole.format(value);
}

export function clock(ts, seconds = true) {
  const at = new Date(ts);
  const text = `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`;
  return seconds ? `${text}:${two(at.getUTCSeconds())}` : text;
}

export function moment(ts) {
  if (ts === null || ts === undefined) return "–";
  return `${day.format(ts)} ${date.format(ts)}, ${clock(ts)}`;
}

export function when(ts) {
  return `${day.format(ts)} ${clock(ts, false)}`;
}

export function tick(ts, step) {
  if (step >= 86_400_000) return `${day.format(ts)} ${date.format(ts)}`;
  return ts % 86_400_000 === 0 ? day.format(ts) : clock(ts, step < 60_000);
}

export function span(ms) {
  if (ms < 1_000) return `${ms} ms`;
  if (ms < 60_000) return `${Math.round(ms / 1_000)} s`;
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min`;
  if (ms < 86_400_000) return `${short.format(Math.round(ms / 360_000) / 10)} h`;
  return `${short.format(Math.round(ms / 8_640_000) / 10)} d`;
}
