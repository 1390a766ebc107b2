// Lists and tables. Everything that comes from a message becomes a text node, never markup.

import { swatch } from "./chart.js";
import * as format from "./format.js";

export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// Keeps the children of `parent` equal to `items`, in order; an element is made anew only when its
// `version` changes, so that a selection or a focus within stays.
function keyed(parent, items, key, version, make) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const wanted = items.map((item) => {
    const name = key(item);
    const stamp = version(item);
    let element = known.get(name);
    if (!element || element.dataset.version !== stamp) {
      element = make(item);
      element.dataset.key = name;
      element.dataset.version = stamp;
    }
    return element;
  });
  const same = wanted.length === parent.children.length && wanted.every((e, i) => e === parent.children[i]);
  if (!same) parent.replaceChildren(...wanted);
}

const STATUS = {
  executed: ["carried out", "good"],
  "dry-run": ["dry run", "quiet"],
  failed: ["failed", "bad"],
  duplicate: ["repeat, ignored", "quiet"],
  fenced: ["overtaken by a newer one", "warn"],
  expired: ["expired", "warn"],
  paused: ["paused", "warn"],
  "cooling-down": ["cooling down", "warn"],
  unauthorised: ["not authorised", "bad"],
  unknown: ["unknown", "bad"],
};

export function statusWords(status) {
  return (STATUS[status] ?? [status, "quiet"])[0];
}

export function commandWords(action) {
  switch (action.kind) {
    case "scale":
      return `Scale ${action.previous} → ${action.replicas}`;
    case "rollback":
      return `Roll ${action.release} back${action.to ? ` to ${action.to}` : ""}`;
    case "promote":
      return `Promote ${action.release}`;
    case "set-traffic":
      return `Give ${action.release} ${format.number(action.percent)} % of traffic`;
    case "place":
      return `Place ${action.job} on ${action.node}`;
    default:
      return String(action.kind);
  }
}

export function commandMark(action) {
  if (action.kind === "scale") return action.replicas >= action.previous ? "up" : "down";
  return action.kind === "rollback" ? "rollback" : "release";
}

export function decisions(list, state, most) {
  const commands = [...state.commands.values()].sort((a, b) => b.issued_at - a.issued_at).slice(0, most);
  const several = state.targets.size > 1;
  keyed(
    list,
    commands,
    (command) => command.id,
    (command) => `${state.outcomes.get(command.id)?.status ?? ""}${several}`,
    (command) => decision(command, state.outcomes.get(command.id), several),
  );
}

function decision(command, outcome, several) {
  const [words, tone] = outcome ? (STATUS[outcome.status] ?? [outcome.status, "quiet"]) : ["under way", "quiet"];
  return el(
    "li",
    { class: "decision" },
    el(
      "div",
      { class: "head" },
      swatch(commandMark(command.action)),
      el("strong", {}, commandWords(command.action)),
      several ? el("span", { class: "muted" }, command.target) : null,
      el("span", { class: "badge", "data-tone": tone }, words),
      el("time", {}, format.when(command.issued_at)),
    ),
    el("ul", {}, ...command.reasons.map((reason) => el("li", {}, reason))),
    outcome?.detail && outcome.status !== "executed" ? el("p", { class: "detail" }, outcome.detail) : null,
  );
}

const STATES = { firing: ["firing", "bad"], pending: ["pending", "warn"], resolved: ["resolved", "good"] };
const ORDER = { firing: 0, pending: 1, resolved: 2 };

export function alerts(table, state, most) {
  const sorted = [...state.alerts.values()].sort(
    (a, b) => ORDER[a.state] - ORDER[b.state] || b.changed_at - a.changed_at,
  );
  rows(table, sorted.slice(0, most), (a) => a.fingerprint, (a) => `${a.state}${a.changed_at}${a.anomalies}`, alertRow);
}

function alertRow(alert) {
  const [words, tone] = STATES[alert.state] ?? [alert.state, "quiet"];
  const tones = { critical: "bad", warning: "warn" };
  const link = webLink(alert.runbook);
  const lasted = alert.resolved_at === null ? "" : `, for ${format.span(alert.resolved_at - alert.started_at)}`;
  return el(
    "tr",
    {},
    el("td", {}, el("span", { class: "badge", "data-tone": tone }, words)),
    el("td", {}, el("span", { class: "badge", "data-tone": tones[alert.severity] ?? "quiet" }, alert.severity)),
    el(
      "td",
      {},
      alert.summary,
      alert.suppressed ? " " : null,
      alert.suppressed ? el("span", { class: "badge" }, `held back: ${alert.suppressed}`) : null,
      link ? " " : null,
      link ? el("a", { href: link, rel: "noopener noreferrer" }, "runbook") : null,
    ),
    el("td", { class: "when" }, format.when(alert.started_at) + lasted),
    el("td", { class: "number" }, format.count(alert.anomalies)),
    el("td", {}, alert.target ?? "–"),
  );
}

// Only addresses of the web become links: a javascript: address would run in this page.
function webLink(address) {
  return typeof address === "string" && /^https?:\/\//i.test(address) ? address : null;
}

export function anomalies(table, state, most) {
  const newest = [...state.anomalies.values()].sort((a, b) => b.ts - a.ts).slice(0, most);
  const said = new Map([...state.feedback.values()].map((f) => [`${f.series}\n${f.ts}`, f.verdict]));
  const verdict = (a) => said.get(`${a.series}\n${a.ts}`) ?? "";
  rows(table, newest, (a) => a.id, verdict, (a) => anomalyRow(a, verdict(a)));
}

const VERDICTS = { "false-alarm": "Nothing", real: "Real", missed: "Missed" };

function verdictButtons(anomaly, said) {
  const side = anomaly.expected === null ? null : anomaly.value < anomaly.expected ? "below" : "above";
  return ["false-alarm", "real"].map((verdict) => {
    const button = el("button", { type: "button", class: "verdict", "aria-pressed": String(said === verdict) }, VERDICTS[verdict]);
    button.dataset.feedback = JSON.stringify({ series: anomaly.series, ts: anomaly.ts, anomaly: anomaly.id, verdict, side });
    return button;
  });
}

export function feedback(table, state, most) {
  const newest = [...state.feedback.values()].reverse().slice(0, most);
  const key = (f) => `${f.series} ${f.ts} ${f.verdict}`;
  rows(table, newest, key, (f) => `${f.below} ${f.above}`, (f) =>
    el(
      "tr",
      {},
      el("td", { class: "when" }, format.when(f.ts)),
      el("td", {}, f.series),
      el("td", {}, VERDICTS[f.verdict] ?? f.verdict),
      el("td", {}, f.by || "–"),
      el("td", { class: "number" }, `×${format.number(f.below)}`),
      el("td", { class: "number" }, `×${format.number(f.above)}`),
    ),
  );
}

export function incidents(table, state, most) {
  const sorted = [...state.incidents.values()].sort(
    (a, b) => ORDER[a.state] - ORDER[b.state] || b.changed_at - a.changed_at,
  );
  rows(table, sorted.slice(0, most), (i) => i.fingerprint, (i) => `${i.state}${i.changed_at}${i.series}${i.suppressed}`, incidentRow);
}

function incidentRow(incident) {
  const [words, tone] = STATES[incident.state] ?? [incident.state, "quiet"];
  const tones = { critical: "bad", warning: "warn" };
  return el(
    "tr",
    {},
    el("td", {}, el("span", { class: "badge", "data-tone": tone }, words)),
    el("td", {}, el("span", { class: "badge", "data-tone": tones[incident.severity] ?? "quiet" }, incident.severity)),
    el(
      "td",
      {},
      incident.summary,
      incident.suppressed ? " " : null,
      incident.suppressed ? el("span", { class: "badge" }, `held back: ${incident.suppressed}`) : null,
    ),
    el("td", { class: "when" }, format.when(incident.started_at)),
    el("td", { class: "number" }, `${format.count(incident.firing)} of ${format.count(incident.series)}`),
    el("td", {}, ...incident.causes.slice(0, 3).map((c) => el("div", {}, `${c.series}: ${c.reasons.join(", ")}`))),
  );
}

function anomalyRow(anomaly, said) {
  const labels = Object.entries(anomaly.labels).map(([name, value]) =>
    el("span", { class: "label" }, `${name}=${value}`),
  );
  const band = anomaly.lower === null || anomaly.upper === null ? "–" : `${format.number(anomaly.lower)} … ${format.number(anomaly.upper)}`;
  const evidence = anomaly.evidence.map((e) => `${e.name} ×${format.number(e.strength)}`).join(", ");
  return el(
    "tr",
    {},
    el("td", { class: "when" }, format.when(anomaly.ts)),
    el("td", {}, anomaly.metric, labels.length ? el("span", { class: "labels" }, ...labels) : null),
    el("td", { class: "number" }, format.number(anomaly.value)),
    el("td", { class: "number" }, format.number(anomaly.expected)),
    el("td", { class: "when" }, band),
    el("td", {}, evidence || "–"),
    el("td", { class: "when" }, ...verdictButtons(anomaly, said)),
  );
}

export function letters(table, state, most) {
  const newest = [...state.dead_letters.values()].reverse().slice(0, most);
  const place = (letter) => `${letter.topic}[${letter.partition}] offset ${letter.offset}`;
  rows(table, newest, place, () => "", (letter) =>
    el("tr", {}, el("td", {}, place(letter)), el("td", {}, letter.reason)),
  );
}

function rows(table, items, key, version, make) {
  keyed(table.tBodies[0], items, key, version, (item) => named(table, make(item)));
  table.hidden = items.length === 0;
  const empty = table.parentElement.querySelector(".empty");
  if (empty) empty.hidden = items.length > 0;
}

// On a phone a row is shown as a block: each cell then says its column, and roles keep it a table.
function named(table, row) {
  row.setAttribute("role", "row");
  [...row.cells].forEach((cell, i) => {
    cell.setAttribute("role", "cell");
    cell.dataset.column = table.tHead.rows[0].cells[i].textContent;
  });
  return row;
}

export function tiles(host, figures) {
  keyed(
    host,
    figures,
    (figure) => figure.name,
    (figure) => `${figure.value}|${figure.note}|${figure.tone}`,
    (figure) =>
      el(
        "div",
        { class: "tile", "data-tone": figure.tone ?? "" },
        el("div", { class: "name" }, figure.name),
        el("div", { class: "figure" }, figure.value),
        el("div", { class: "note" }, figure.note ?? ""),
      ),
  );
}

export function counters(host, entries) {
  keyed(
    host,
    entries,
    ([name]) => name,
    ([, value]) => value,
    ([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)),
  );
}

// A legend whose entries show the value under the cursor.
export function legend(host, entries) {
  keyed(
    host,
    entries,
    (entry) => entry.name,
    (entry) => entry.value ?? "",
    (entry) => el("li", {}, swatch(entry.swatch), entry.name, entry.value ? el("b", {}, entry.value) : null),
  );
}
