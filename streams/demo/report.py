"""What happened in a demo: counted from the topics, told in plain words, written as JSON."""

from collections import Counter
from pathlib import Path

import msgspec
import numpy as np

from schemas import Alert, Anomaly, Command, DeadLetter, Forecast, Outcome, ReleaseChange, Rollback


class Versus(msgspec.Struct, frozen=True, kw_only=True):
    """A figure of Tidegate beside that of the Kubernetes HPA's rule on the same load."""

    tidegate: float
    hpa: float


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds from produce to anomaly, None where no anomaly was found live."""

    p50: float | None
    p99: float | None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The demo's figures. Commands and outcomes are counted by kind and by status.

    `releases` is the audit: what was done to which release, when, and why.
    """

    load: str
    live_hours: float
    records: int
    samples: int
    dead_letters: int
    anomalies: int
    alerts: int
    forecasts: int
    commands: dict[str, int]
    outcomes: dict[str, dict[str, int]]
    executed_twice: int
    rollbacks_executed: int
    breach_minutes: Versus
    incidents: Versus
    replica_hours: Versus
    latency_ms: Latency
    rollback_reason: str | None = None
    scenario: str = "whole"
    releases: list[ReleaseChange] = []

    def write(self, path: Path) -> None:
        """Write the report as JSON."""
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n")


class Tally:
    """Counts the messages that a consumer of the output topics sees."""

    def __init__(self) -> None:
        self.dead_letters = self.anomalies = self.alerts = self.forecasts = 0
        self.commands: dict[str, Command] = {}
        self.outcomes: list[Outcome] = []
        self.releases: dict[str, ReleaseChange] = {}
        self.latencies: list[float] = []

    def see(self, message: object, now_ms: float, live_since_ms: float) -> None:
        """Count one message that arrived at `now_ms` (wall clock, Unix ms)."""
        match message:
            case DeadLetter():
                self.dead_letters += 1
            case Anomaly():
                self.anomalies += 1
                if message.produced_at >= live_since_ms:
                    self.latencies.append(now_ms - message.produced_at)
            case Alert():
                self.alerts += 1
            case Forecast():
                self.forecasts += 1
            case Command():
                self.commands[message.id] = message
            case Outcome():
                self.outcomes.append(message)
            case ReleaseChange():
                self.releases[message.id] = message

    def latency(self) -> Latency:
        """Quantiles of the time from produce to anomaly."""
        if not self.latencies:
            return Latency(p50=None, p99=None)
        p50, p99 = np.quantile(self.latencies, [0.5, 0.99])
        return Latency(p50=round(float(p50), 2), p99=round(float(p99), 2))

    def commands_by_kind(self) -> dict[str, int]:
        """Commands by kind."""
        return dict(Counter(command.kind for command in self.commands.values()))

    def outcomes_by_kind(self) -> dict[str, dict[str, int]]:
        """Outcomes by kind and status."""
        counts: dict[str, Counter[str]] = {}
        for outcome in self.outcomes:
            counts.setdefault(outcome.kind, Counter())[outcome.status] += 1
        return {kind: dict(statuses) for kind, statuses in counts.items()}

    def rollbacks(self) -> list[Command]:
        """Rollback commands that were carried out."""
        done = {o.command for o in self.outcomes if o.kind == "rollback" and o.status == "executed"}
        return [c for c in self.commands.values() if c.id in done and isinstance(c.action, Rollback)]


def in_words(report: Report) -> str:
    """The summary that the demo ends with."""
    done = sum(statuses.get("executed", 0) for statuses in report.outcomes.values())
    cost = _change(report.replica_hours)
    lines = [
        f"{report.samples:,} samples of {report.load} went in; {report.live_hours:.1f} hours of it live.",
        f"{report.anomalies:,} anomalies were found, {report.alerts:,} alert changes published, "
        f"{report.dead_letters:,} records that are not data set aside as dead letters.",
        f"{report.forecasts:,} forecasts led to {sum(report.commands.values()):,} commands; "
        f"{done:,} were carried out, {report.executed_twice} of them twice.",
        f"The service used {report.replica_hours.tidegate:,.0f} replica-hours; the HPA rule on the same load "
        f"{report.replica_hours.hpa:,.0f} ({cost}).",
        f"It was short of capacity for {report.breach_minutes.tidegate:,.0f} minutes in "
        f"{report.incidents.tidegate:,.0f} incidents; the HPA rule for "
        f"{report.breach_minutes.hpa:,.0f} minutes in {report.incidents.hpa:,.0f}.",
    ]
    if report.scenario != "whole":
        lines += _course(report.releases)
    if report.rollbacks_executed:
        lines.append(f"The bad release was rolled back: {report.rollback_reason}")
    if report.latency_ms.p50 is not None:
        lines.append(
            f"From produce to anomaly: {report.latency_ms.p50:.0f} ms in the median, "
            f"{report.latency_ms.p99:.0f} ms at p99."
        )
    return "\n".join(lines)


def _course(changes: list[ReleaseChange]) -> list[str]:
    """What became of the release, a line for each step."""
    lines = []
    for change in changes:
        minutes = (change.ts - changes[0].ts) // 60_000
        share = f" {change.percent:g} %" if change.what == "set-traffic" else ""
        reason = f": {change.reason}" if change.reason and change.what != "rolled-back" else ""
        back = f" to {change.to}" if change.to else ""
        lines.append(f"{minutes:5,} min  {change.release} {change.what}{back}{share}{reason}")
    return lines


def _change(figure: Versus) -> str:
    if figure.hpa <= 0:
        return "no comparison"
    share = figure.tidegate / figure.hpa - 1
    return f"{abs(share):.0%} {'less' if share < 0 else 'more'} with Tidegate"
