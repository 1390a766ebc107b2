// What the page says in words and figures, made from the state.

import * as format from "./format.js";
import { commandWords, statusWords } from "./lists.js";

export const here = (state) => state.targets.get(state.target) ?? {};
export const firing = (state) => [...state.alerts.values()].filter((alert) => alert.state === "firing");
export const mine = (state, items) => [...items.values()].filter((item) => item.target === state.target);

function lastCommand(state) {
  return mine(state, state.commands).reduce((last, c) => (last && last.issued_at > c.issued_at ? last : c), null);
}

export function sentence(state) {
  const target = here(state);
  if (target.load === undefined || target.load === null) {
    return state.meters.samples
      ? `Watching ${format.count(state.meters.series)} series. No target has been forecast yet.`
      : "Waiting for the first samples on the topic metrics.";
  }
  const parts = [`${state.target} sees a load of ${format.round(target.load)}`];
  if (target.ready !== null) parts.push(`served by ${target.ready} ready ${target.ready === 1 ? "replica" : "replicas"}`);
  const band = state.ahead.find((point) => point[0] - target.ts === target.horizon_ms);
  if (band) {
    const level = format.number(target.levels[1] * 100);
    parts.push(`and will stay below ${format.round(band[3])} in ${format.span(target.horizon_ms)} with ${level} % probability`);
  }
  const last = lastCommand(state);
  const status = last && state.outcomes.get(last.id)?.status;
  const told = last
    ? ` Last command, ${format.when(last.issued_at)}: ${commandWords(last.action).toLowerCase()}, ${status ? statusWords(status) : "under way"}.`
    : "";
  return `${parts.join(" ")}.${told}`;
}

export function figures(state) {
  const target = here(state);
  const counts = state.counts;
  const wrong = firing(state).length;
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
    { name: "Anomalies", value: format.count(counts.anomalies ?? 0), note: latency(state) },
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

function latency(state) {
  const bound = state.meters.latency_p99_s;
  return bound === undefined ? "" : `99 % found within ${format.span(bound * 1000)}`;
}

export function counters(state) {
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

