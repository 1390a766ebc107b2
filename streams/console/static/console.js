// The page: listens to the stream, keeps the state, draws it at most once per frame.

import * as charts from "./charts.js";
import * as format from "./format.js";
import * as lists from "./lists.js";
import { empty, eventTime, merge } from "./state.js";
import * as words from "./words.js";

const $ = (id) => document.getElementById(id);
const LIST = 20; // rows of each table; the feed keeps more

let state = empty();
let hours = 24;
let paused = false;
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

function connection(kind, text) {
  const pill = $("connection");
  if (pill.dataset.state === kind) return;
  pill.dataset.state = kind;
  pill.textContent = text;
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

function draw() {
  const now = eventTime(state);
  $("clock").textContent = format.moment(now);
  drawPicker();
  $("sentence").textContent = words.sentence(state);
  lists.tiles($("tiles"), words.figures(state));
  charts.show(state, hours);
  lists.decisions($("decisions"), state, 3 * LIST);
  $("decisions-empty").hidden = state.commands.size > 0;
  $("decisions-note").textContent = total("commands", Math.min(3 * LIST, state.commands.size));
  lists.alerts($("alerts"), state, LIST);
  $("alerts-note").textContent = total("alerts", Math.min(LIST, state.alerts.size), "changes");
  lists.incidents($("incidents"), state, LIST);
  lists.feedback($("feedback"), state, LIST);
  lists.anomalies($("anomalies"), state, LIST);
  $("anomalies-note").textContent = total("anomalies", Math.min(LIST, state.anomalies.size));
  lists.letters($("letters"), state, LIST);
  $("letters-note").textContent = total("dead-letters", Math.min(LIST, state.dead_letters.size));
  lists.counters($("counters"), words.counters(state));
  const wrong = words.firing(state).length;
  document.title = wrong ? `(${wrong}) Tidegate` : "Tidegate";
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

// -- controls -----------------------------------------------------------------------------------

$("target").addEventListener("change", (event) => connect(event.target.value));

$("windows").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  hours = Number(button.dataset.hours);
  for (const each of $("windows").children) each.setAttribute("aria-pressed", String(each === button));
  charts.show(state, hours);
});

$("anomalies").addEventListener("click", async (event) => {
  const said = event.target.closest("button")?.dataset.feedback;
  if (!said) return;
  $("feedback-answer").textContent = "Telling …";
  try {
    const headers = { "Content-Type": "application/json" };
    const answer = await fetch("/api/feedback", { method: "POST", headers, body: said });
    $("feedback-answer").textContent = await answer.text();
  } catch {
    $("feedback-answer").textContent = "The worker does not answer; nothing was told.";
  }
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
