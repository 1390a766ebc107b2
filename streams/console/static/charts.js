// The two charts of a target, their legends, and the cursor that they share.

import { Chart } from "./chart.js";
import * as format from "./format.js";
import * as lists from "./lists.js";
import { ahead, at, empty, forecastAt, forecasts } from "./state.js";
import { here, mine } from "./words.js";

const $ = (id) => document.getElementById(id);
const HOUR = 3_600_000;
const HINT = "Point at a chart, or focus it and use the arrow keys, to read values.";

let state = empty();
let hours = 24;
let cursor = null;

const loadChart = new Chart($("load-chart"), {
  label: "Load and its forecast over time",
  lanes: 2,
  onCursor: moveCursor,
});
const replicaChart = new Chart($("replica-chart"), {
  label: "Replicas over time",
  integers: true,
  onCursor: moveCursor,
});
loadChart.onResize = replicaChart.onResize = drawCharts;

// Draws `newState`, the last `newHours` of it (0: all).
export function show(newState, newHours) {
  [state, hours] = [newState, newHours];
  drawCharts();
}

function domain() {
  const points = [state.load, state.service].filter((chart) => chart.length);
  if (!points.length) return null;
  const now = Math.max(...points.map((chart) => chart.at(-1)[0]));
  const first = Math.min(...points.map((chart) => chart[0][0]));
  const from = hours ? Math.max(first, now - hours * HOUR) : first;
  const furthest = state.ahead.length ? state.ahead.at(-1)[0] - now : 0;
  const to = now + Math.min(furthest, Math.max((now - from) / 6, 300_000));
  return from < to ? [from, to] : [from - 60_000, to + 60_000];
}

function loadPoints() {
  return state.load.length ? state.load : state.service.map(([ts, load]) => [ts, load]);
}

function drawCharts() {
  const shown = domain();
  const now = here(state).ts ?? null;
  const desired = [...state.desired];
  if (desired.length && now !== null && now > desired.at(-1)[0]) desired.push([now, desired.at(-1)[1]]);
  const past = state.band.filter((point) => now === null || point[0] <= now);
  const commands = mine(state, state.commands);
  const marks = [
    ...mine(state, state.anomalies).map((a) => ({ kind: "anomaly", ts: a.ts, lane: 0 })),
    ...commands.filter((c) => c.action.kind === "scale").map((c) => ({ kind: lists.commandMark(c.action), ts: c.issued_at, lane: 1 })),
  ];
  const lines = [
    ...mine(state, state.releases).map((r) => ({ kind: "release", ts: r.ts, text: `${r.release} deployed` })),
    ...commands.filter((c) => c.action.kind !== "scale").map((c) => ({ kind: "rollback", ts: c.issued_at, text: lists.commandWords(c.action) })),
  ].sort((a, b) => a.ts - b.ts);
  loadChart.draw({
    domain: shown,
    now,
    marks,
    lines,
    layers: [
      { kind: "area", class: "band", points: past.map(([ts, low, , high]) => [ts, low, high]) },
      // The future's upper edge may be far up; it runs out of the picture rather than flatten the past.
      { kind: "area", class: "band", unscaled: true, points: ahead(state, now).map(([ts, low, , high]) => [ts, low, high]) },
      { kind: "line", class: "forecast", points: forecasts(state, now).map(([ts, , middle]) => [ts, middle]) },
      { kind: "line", class: "load", points: loadPoints() },
    ],
    summary: shown ? `${format.when(shown[0])} to ${format.when(shown[1])}; load now ${format.number(here(state).load)}.` : "No data yet.",
  });
  replicaChart.draw({
    domain: shown,
    now,
    lines: lines.map((line) => ({ ...line, text: "" })),
    layers: [
      { kind: "step", class: "ready", points: state.service.map(([ts, , ready]) => [ts, ready]) },
      { kind: "step", class: "paid", points: state.service.map(([ts, , , paid]) => [ts, paid]) },
      { kind: "step", class: "desired", points: desired },
    ],
    summary: `Asked for ${here(state).desired ?? "nothing yet"}, ready ${here(state).ready ?? "not known"}.`,
  });
  drawLegends();
}

function valuesAt(ts) {
  const last = ts === null;
  const now = here(state).ts ?? null;
  const pick = (points) => (last ? points.at(-1) : at(points, ts));
  return { load: pick(loadPoints()), band: forecastAt(state, now, ts ?? now), service: pick(state.service), desired: pick(state.desired) };
}

function drawLegends() {
  const { load, band, service, desired } = valuesAt(cursor);
  const levels = here(state).levels;
  const before = here(state).horizon_ms ? `, ${format.span(here(state).horizon_ms)} before` : "";
  const range = levels ? `forecast ${format.number(levels[0] * 100)}–${format.number(levels[1] * 100)} %${before}` : "forecast band";
  const value = (point, index) => (point ? format.number(point[index]) : null);
  lists.legend($("load-legend"), [
    { name: "load", swatch: "load", value: value(load, 1) },
    { name: "median forecast", swatch: "forecast", value: value(band, 2) },
    { name: range, swatch: "band", value: band ? `${format.number(band[1])} … ${format.number(band[3])}` : null },
    { name: "anomaly", swatch: "anomaly" },
    { name: "scaled up", swatch: "up" },
    { name: "down", swatch: "down" },
  ]);
  lists.legend($("replica-legend"), [
    { name: "asked for", swatch: "desired", value: value(desired, 1) },
    { name: "ready", swatch: "ready", value: value(service, 2) },
    { name: "paid", swatch: "paid", value: value(service, 3) },
  ]);
}

function moveCursor(ts, spoken) {
  cursor = ts;
  loadChart.cursor(ts);
  replicaChart.cursor(ts);
  drawLegends();
  const words = ts === null ? HINT : wordsAt(ts);
  $("readout").textContent = words;
  if (spoken) $("spoken").textContent = ts === null ? "" : words;
}

function wordsAt(ts) {
  const { load, band, service, desired } = valuesAt(ts);
  const words = [format.moment(ts)];
  if (load) words.push(`load ${format.number(load[1])}`);
  if (band) words.push(`forecast ${format.number(band[2])} (${format.number(band[1])} to ${format.number(band[3])})`);
  if (desired) words.push(`asked for ${desired[1]}`);
  if (service) words.push(`ready ${service[2]}, paid ${service[3]}`);
  const [from, to] = loadChart.domain ?? [0, 0];
  const within = (to - from) / 150;
  const nearest = (items, time) =>
    mine(state, items)
      .filter((item) => Math.abs(time(item) - ts) <= within)
      .sort((a, b) => Math.abs(time(a) - ts) - Math.abs(time(b) - ts));
  const events = [
    ...nearest(state.releases, (r) => r.ts).map((r) => `${r.release} deployed`),
    ...nearest(state.commands, (c) => c.issued_at).slice(0, 1).map((c) => `${lists.commandWords(c.action)}: ${c.reasons.join("; ")}`),
    ...nearest(state.anomalies, (a) => a.ts).slice(0, 2).map((a) => `anomaly in ${a.metric}: ${format.number(a.value)}, expected ${format.number(a.expected)}`),
  ];
  return [words.join(", "), ...events].join(". ");
}

