"""Replays recorded jobs through the placement planner and writes who runs where and when."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from planners.placement import Curve, Score, known_rules, make_rule, schedule, score, violations
from streams.jobs_csv import read_jobs, read_nodes, read_prices, write_placements


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """`scores` by rule, on the same jobs; `rule` is the one whose placements were written."""

    rule: str
    scores: Mapping[str, Score]
    refused: int


def backtest(
    jobs_file: Path,
    nodes_file: Path,
    out: Path,
    *,
    rule: str = "urgency",
    prices: Path | None = None,
    carbon_price: float = 0.0,
) -> Summary:
    """Place the jobs of `jobs_file` on the nodes of `nodes_file`; docs/scheduling.md tells the columns.

    Every plan is checked against every node's capacity over time before it is written or scored.

    Raises:
        TraceError, CurveError: a file cannot be used.
        PlacementError: two jobs or nodes have one name, or there is no node.
        UnknownRuleError: there is no such rule.
    """
    chosen = make_rule(rule)
    jobs, refusals, iso = read_jobs(jobs_file)
    nodes = read_nodes(nodes_file)
    curve = read_prices(prices, carbon_price) if prices else Curve.flat()
    by_name, nodes_by_name = {job.name: job for job in jobs}, {node.name: node for node in nodes}
    scores = {}
    refused = 0
    for name in dict.fromkeys((*known_rules(), chosen.name)):
        plan = schedule(jobs, nodes, curve, make_rule(name))
        wrong = violations(by_name, nodes_by_name, plan.placements)
        if wrong:
            raise AssertionError(f"a defect of rule {name}, nothing was written: {wrong[0]}")
        scores[name] = score(by_name, nodes_by_name, plan.placements, curve)
        if name == chosen.name:
            refused = len(refusals) + len(plan.refusals)
            write_placements(out, plan.placements, [*plan.refusals, *refusals], iso)
    return Summary(rule=chosen.name, scores=scores, refused=refused)


def in_words(summary: Summary) -> str:
    """The figures of each rule, one line each, and what they mean."""
    heads = (("weighted tardiness h", 22), ("late", 8), ("cost", 14), ("mean wait h", 13), ("makespan h", 12))
    lines = [f"{'rule':<12}" + "".join(f"{head:>{width}}" for head, width in heads)]
    for name, each in summary.scores.items():
        mark = "*" if name == summary.rule else " "
        lines.append(
            f"{mark}{name:<11}{each.weighted_tardiness:>22.2f}{each.late:>8}{each.cost:>14.2f}"
            f"{each.wait_h:>13.2f}{each.makespan_h:>12.1f}"
        )
    placed = summary.scores[summary.rule].jobs
    lines.append(f"* written: {placed} jobs placed, {summary.refused} not (the column `reason` says why)")
    return "\n".join(lines)
