// The page: listens to the stream, keeps the state, draws it at most once per frame.

import { Chart } from "./chart.js";
import * as format from "./format.js";
import * as lists from "./lists.js";
import { at, empty, eventTime, merge } from "./state.js";

const $ = (id) => document.getElementById(id);
const LIST = 50;
const HOUR = 3_600_000;

let state = empty();
let hours = 24;
let paused = false;
let cursor = null;
let source = null;
let scheduled = false;

// -- stream -------------------------------------------------------------------------------------

function connect(target) {
  source?.close();
  source = new EventSource(target === null ? "/stream" : `/stream?target=${encodeURIComponent(target)}`);
  source.addEventListener("snapshot", (event) => {
    const part = JSON.parse(event.data);
    state = empty(part.target ?? target);
    merge(state, part, performance.now());
    connection("live", "Live");
    schedule();
  });
  source.addEventListener("update", (event) => {
    merge(state, JSON.parse(event.data), performance.now());
    schedule();
  });
  source.addEventListener("error", () => {
    connection("lost", "Reconnecting");
    // A refused stream is closed for good by the browser; ask again, as it would after a lost one.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => connect(state.target), 3_000);
  });
}

function connection(kind, words) {
  const pill = $("connection");
  if (pill.dataset.state === kind) return;
  pill.dataset.state = kind;
  pill.textContent = words;
}

// -- drawing ------------------------------------------------------------------------------------

function schedule() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    if (!paused) draw();
  });
}

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
loadChart.onResize = replicaChart.onResize = () => drawCharts();

function draw() {
  const now = eventTime(state);
  $("clock").textContent = format.moment(now);
  drawPicker();
  $("sentence").textContent = sentence();
  lists.tiles($("tiles"), figures());
  drawCharts();
  lists.decisions($("decisions"), state, LIST);
  $("decisions-empty").hidden = state.commands.size > 0;
  $("decisions-note").textContent = total("commands", state.commands.size);
  lists.alerts($("alerts"), state, LIST);
  $("alerts-note").textContent = total("alerts", Math.min(LIST, state.alerts.size), "changes");
  lists.anomalies($("anomalies"), state, LIST);
  $("anomalies-note").textContent = total("anomalies", Math.min(LIST, state.anomalies.size));
  lists.letters($("letters"), state, LIST);
  $("letters-note").textContent = total("dead-letters", Math.min(LIST, state.dead_letters.size));
  lists.counters($("counters"), counters());
  document.title = firing().length ? `(${firing().length}) Tidegate` : "Tidegate";
}

function total(topic, shown, noun = "in all") {
  const all = state.counts[topic] ?? 0;
  return all > shown ? `${format.count(all)} ${noun}` : "";
}

function drawPicker() {
  const names = [...state.targets.keys()].sort();
  const select = $("target");
  $("picker").hidden = names.length === 0;
  if (names.join("\n") !== [...select.options].map((option) => option.value).join("\n")) {
    select.replaceChildren(...names.map((name) => new Option(name, name)));
  }
  if (state.target !== null && document.activeElement !== select) select.value = state.target;
}

const here = () => state.targets.get(state.target) ?? {};
const firing = () => [...state.alerts.values()].filter((alert) => alert.state === "firing");
const mine = (items) => [...items.values()].filter((item) => item.target === state.target);

function lastCommand() {
  return mine(state.commands).reduce((last, c) => (last && last.issued_at > c.issued_at ? last : c), null);
}

function sentence() {
  const target = here();
  if (target.load === undefined || target.load === null) {
    return state.meters.samples
      ? `Watching ${format.count(state.meters.series)} series. No target has been forecast yet.`
      : "Waiting for the first samples on the topic metrics.";
  }
  const parts = [`${state.target} sees a load of ${format.number(target.load)}`];
  if (target.ready !== null) parts.push(`served by ${target.ready} ready ${target.ready === 1 ? "replica" : "replicas"}`);
  const band = state.band.at(-1);
  if (band && target.horizon_ms) {
    const level = format.number(target.levels[1] * 100);
    parts.push(`and will stay below ${format.number(band[3])} in ${format.span(target.horizon_ms)} with ${level} % probability`);
  }
  const last = lastCommand();
  const status = last && state.outcomes.get(last.id)?.status;
  const told = last
    ? ` Last command, ${format.when(last.issued_at)}: ${lists.commandWords(last.action).toLowerCase()}, ${status ? lists.statusWords(status) : "under way"}.`
    : "";
  return `${parts.join(" ")}.${told}`;
}

function figures() {
  const target = here();
  const counts = state.counts;
  const wrong = firing().length;
  const pending = [...state.alerts.values()].filter((alert) => alert.state === "pending").length;
  const outcomes = [...state.outcomes.values()];
  const failed = outcomes.filter((outcome) => outcome.status === "failed").length;
  const dead = counts["dead-letters"] ?? 0;
  const replicas = target.ready ?? target.desired;
  return [
    {
      name: "Load",
      value: format.number(target.load),
      note: target.model ? `forecast by ${target.model}${skill(target.skill)}` : "",
    },
    {
      name: "Replicas",
      value: replicas === null || replicas === undefined ? "–" : `${replicas}`,
      note: replicaNote(target),
    },
    { name: "Alerts firing", value: `${wrong}`, note: pending ? `${pending} pending` : "", tone: wrong ? "bad" : "" },
    { name: "Anomalies", value: format.count(counts.anomalies ?? 0), note: latency() },
    {
      name: "Commands",
      value: format.count(counts.commands ?? 0),
      note: failed ? `${failed} failed` : `${format.count(counts.outcomes ?? 0)} settled`,
      tone: failed ? "bad" : "",
    },
    {
      name: "Samples",
      value: format.count(state.meters.samples ?? 0),
      note: state.rate === null ? "" : `${format.count(state.rate)} per second`,
    },
    { name: "Dead letters", value: format.count(dead), note: dead ? "records that could not be used" : "" },
  ];
}

function skill(value) {
  if (value === null || value === undefined) return "";
  const share = format.number(Math.abs(Math.round(value * 100)));
  return value >= 0 ? `, ${share} % better than no change` : `, ${share} % worse than no change`;
}

function replicaNote(target) {
  const notes = [];
  if (target.ready !== null && target.ready !== undefined) notes.push("ready");
  if (target.desired !== null && target.desired !== undefined) notes.push(`${target.desired} asked for`);
  if (target.paid !== null && target.paid !== undefined && target.paid !== target.ready) notes.push(`${target.paid} paid`);
  return notes.join(", ");
}

function latency() {
  const bound = state.meters.latency_p99_s;
  return bound === undefined ? "" : `99 % found within ${format.span(bound * 1000)}`;
}

function counters() {
  const meters = state.meters;
  const entries = [
    ["Records read", format.count(meters.records ?? 0)],
    ["Samples learnt", format.count(meters.samples ?? 0)],
    ["Samples not used", format.count(meters.dropped ?? 0)],
    ["Series", format.count(meters.series ?? 0)],
  ];
  if (meters.lag !== undefined) entries.push(["Records unread", format.count(meters.lag)]);
  for (const topic of ["anomalies", "alerts", "forecasts", "commands", "outcomes", "dead-letters"]) {
    const name = topic[0].toUpperCase() + topic.slice(1).replace("-", " ");
    entries.push([name, format.count(state.counts[topic] ?? 0)]);
  }
  if (meters.ledger_up !== undefined) entries.push(["Ledger", meters.ledger_up ? "answers" : "does not answer"]);
  return entries;
}

// -- charts -------------------------------------------------------------------------------------

function domain() {
  const ends = [state.load, state.service, state.band].map((points) => points.at(-1)?.[0]).filter(Boolean);
  const starts = [state.load, state.service].map((points) => points[0]?.[0]).filter(Boolean);
  if (!ends.length || !starts.length) return null;
  const to = Math.max(...ends);
  const first = Math.min(...starts);
  const from = hours ? Math.max(first, to - hours * HOUR) : first;
  return from < to ? [from, to] : [from - 60_000, to + 60_000];
}

function loadPoints() {
  return state.load.length ? state.load : state.service.map(([ts, load]) => [ts, load]);
}

function drawCharts() {
  const shown = domain();
  const now = here().ts ?? null;
  const desired = [...state.desired];
  if (desired.length && now !== null && now > desired.at(-1)[0]) desired.push([now, desired.at(-1)[1]]);
  const commands = mine(state.commands);
  const marks = [
    ...mine(state.anomalies).map((a) => ({ kind: "anomaly", ts: a.ts, lane: 0 })),
    ...commands.filter((c) => c.action.kind === "scale").map((c) => ({ kind: lists.commandMark(c.action), ts: c.issued_at, lane: 1 })),
  ];
  const lines = [
    ...mine(state.releases).map((r) => ({ kind: "release", ts: r.ts, text: `${r.release} deployed` })),
    ...commands.filter((c) => c.action.kind !== "scale").map((c) => ({ kind: "rollback", ts: c.issued_at, text: lists.commandWords(c.action) })),
  ].sort((a, b) => a.ts - b.ts);
  loadChart.draw({
    domain: shown,
    now,
    marks,
    lines,
    layers: [
      { kind: "area", class: "band", points: state.band.map(([ts, low, , high]) => [ts, low, high]) },
      { kind: "line", class: "forecast", points: state.band.map(([ts, , middle]) => [ts, middle]) },
      { kind: "line", class: "load", points: loadPoints() },
    ],
    summary: shown ? `${format.when(shown[0])} to ${format.when(shown[1])}; load now ${format.number(here().load)}.` : "No data yet.",
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
    summary: `Asked for ${here().desired ?? "nothing yet"}, ready ${here().ready ?? "not known"}.`,
  });
  drawLegends();
}

function valuesAt(ts) {
  const last = ts === null;
  const pick = (points) => (last ? points.at(-1) : at(points, ts));
  return { load: pick(loadPoints()), band: last ? null : pick(state.band), service: pick(state.service), desired: pick(state.desired) };
}

function drawLegends() {
  const { load, band, service, desired } = valuesAt(cursor);
  const levels = here().levels;
  const range = levels ? `forecast ${format.number(levels[0] * 100)}–${format.number(levels[1] * 100)} %` : "forecast band";
  const value = (point, index) => (point ? format.number(point[index]) : null);
  lists.legend($("load-legend"), [
    { name: "load", swatch: "load", value: value(load, 1) },
    { name: "forecast median", swatch: "forecast", value: value(band, 2) },
    { name: range, swatch: "band", value: band ? `${format.number(band[1])} … ${format.number(band[3])}` : null },
    { name: "anomaly", swatch: "anomaly" },
    { name: "scaled up", swatch: "up" },
    { name: "scaled down", swatch: "down" },
  ]);
  lists.legend($("replica-legend"), [
    { name: "asked for", swatch: "desired", value: value(desired, 1) },
    { name: "ready", swatch: "ready", value: value(service, 2) },
    { name: "paid", swatch: "paid", value: value(service, 3) },
  ]);
}

const HINT = "Point at a chart, or focus it and use the arrow keys, to read values.";

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
  const near = (time) => Math.abs(time - ts) <= (to - from) / 150;
  const events = [
    ...mine(state.releases).filter((r) => near(r.ts)).map((r) => `${r.release} deployed`),
    ...mine(state.commands).filter((c) => near(c.issued_at)).map((c) => `${lists.commandWords(c.action)}: ${c.reasons.join("; ")}`),
    ...mine(state.anomalies).filter((a) => near(a.ts)).slice(0, 3).map((a) => `anomaly in ${a.metric}: ${format.number(a.value)}, expected ${format.number(a.expected)}`),
  ];
  return [words.join(", "), ...events].join(". ");
}

// -- controls -----------------------------------------------------------------------------------

$("target").addEventListener("change", (event) => connect(event.target.value));

$("windows").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  hours = Number(button.dataset.hours);
  for (const each of $("windows").children) each.setAttribute("aria-pressed", String(each === button));
  drawCharts();
});

$("pause").addEventListener("click", (event) => {
  paused = !paused;
  event.target.setAttribute("aria-pressed", String(paused));
  if (!paused) draw();
});

const system = matchMedia("(prefers-color-scheme: dark)");
let theme = localStorage.getItem("theme") ?? "auto";

function applyTheme() {
  const dark = theme === "dark" || (theme === "auto" && system.matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  $("theme").textContent = `Theme: ${theme}`;
}

$("theme").addEventListener("click", () => {
  theme = { auto: "light", light: "dark", dark: "auto" }[theme];
  localStorage.setItem("theme", theme);
  applyTheme();
});
system.addEventListener("change", applyTheme);

applyTheme();
draw();
connect(new URLSearchParams(location.search).get("target"));
