// What the page knows: a snapshot, then the updates merged into it. Bounded, as the feed is.

const POINTS = 5_000;
const RECENT = 400;
const CHARTS = ["load", "band", "desired", "service"];
const LISTS = {
  anomalies: (item) => item.id,
  alerts: (item) => item.fingerprint,
  incidents: (item) => item.fingerprint,
  feedback: (item) => `${item.series}\n${item.ts}\n${item.verdict}`,
  commands: (item) => item.id,
  outcomes: (item) => item.command,
  releases: (item) => `${item.target}\n${item.release}\n${item.ts}`,
  dead_letters: (item) => `${item.topic}\n${item.partition}\n${item.offset}`,
};

export function empty(target = null) {
  const state = { target, ahead: [], targets: new Map(), counts: {}, meters: {}, rate: null, rateFrom: null };
  for (const name of CHARTS) state[name] = [];
  for (const name of Object.keys(LISTS)) state[name] = new Map();
  return state;
}

export function merge(state, part, nowMs) {
  state.target = part.target ?? state.target;
  for (const [name, target] of Object.entries(part.targets)) state.targets.set(name, target);
  for (const name of CHARTS) append(state[name], part[name]);
  if (part.ahead.length) state.ahead = part.ahead;
  for (const [name, key] of Object.entries(LISTS)) {
    const known = state[name];
    for (const item of part[name]) {
      known.delete(key(item)); // so that it moves to the end: the newest comes last
      known.set(key(item), item);
    }
    for (const oldest of known.keys()) {
      if (known.size <= RECENT) break;
      known.delete(oldest);
    }
  }
  if (Object.keys(part.counts).length) state.counts = part.counts;
  state.meters = part.meters;
  measureRate(state, nowMs);
}

function append(points, more) {
  for (const point of more) {
    if (!points.length || point[0] > points[points.length - 1][0]) points.push(point);
  }
  if (points.length > POINTS) points.splice(0, points.length - POINTS);
}

// Samples per second of wall-clock time, over the last few seconds.
function measureRate(state, nowMs) {
  const samples = state.meters.samples;
  if (samples === undefined) return;
  const from = state.rateFrom;
  if (from === null) {
    state.rateFrom = { at: nowMs, samples };
  } else if (nowMs - from.at >= 2_000) {
    state.rate = (samples - from.samples) / ((nowMs - from.at) / 1_000);
    state.rateFrom = { at: nowMs, samples };
  }
}

export function eventTime(state) {
  let newest = null;
  for (const target of state.targets.values()) {
    if (target.ts !== null && (newest === null || target.ts > newest)) newest = target.ts;
  }
  if (newest !== null) return newest;
  const last = [...state.anomalies.values()].at(-1);
  return last ? last.ts : null;
}

// The forecast for a time: for the past as it was made before, then the newest one, lines between points.
export function forecastAt(state, now, ts) {
  const points = forecasts(state, now);
  const before = at(points, ts);
  const after = points.find((point) => point[0] > ts);
  if (!before || !after) return before && before[0] === ts ? before : null;
  const share = (ts - before[0]) / (after[0] - before[0]);
  return before.map((value, i) => value + share * (after[i] - value));
}

export function forecasts(state, now) {
  return [...state.band.filter((point) => now === null || point[0] <= now), ...ahead(state, now)];
}

// The newest forecast, from the load there is now on.
export function ahead(state, now) {
  const load = state.load.at(-1);
  if (!load || !state.ahead.length) return [];
  return [[load[0], load[1], load[1], load[1]], ...state.ahead].filter((point) => point[0] >= now);
}

// The last point at or before a time; null before the first.
export function at(points, ts) {
  let low = 0;
  let high = points.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle][0] <= ts) low = middle + 1;
    else high = middle;
  }
  return low ? points[low - 1] : null;
}
