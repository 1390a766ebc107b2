"""What a release is judged on: the metrics, what counts as harm, and the errors one accepts."""

from typing import Annotated, Any, Literal

import msgspec

Kind = Literal["rate", "count", "values", "mean", "distribution", "gauge"]
Arm = Literal["control", "canary"]
Harm = Literal["up", "down"]
Mode = Literal["control", "before-after"]
Decision = Literal["continue", "promote", "rollback"]


def _key(description: str, **bounds: Any) -> msgspec.Meta:
    return msgspec.Meta(description=description, **bounds)


class MetricSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One metric of a release.

    `kind` says what an observation is and how it is judged: "rate" `count` of `total` (errors of requests),
    "count" events per exposure (`total` is the exposure), "values" single measurements judged at their
    quantiles (latencies), "mean" single measurements judged by their mean, "distribution" by the largest
    difference of their distributions, "gauge" one aggregated number per tick. `harm` is what hurts.

    `tolerance` is the relative harm one accepts: evidence is only evidence of more harm than that.
    `margin` is the relative harm that promotion must rule out. Both are relative odds for rates, relative
    rates for counts, relative size for values, means and gauges, and shares of the values for
    distributions. A rate whose canary is shown to stay below `negligible` (a share) is safe whatever the
    ratio, so that a service without errors can be promoted.

    On the `metrics` topic a sample is one number, so a rate or a count names in `total` the metric that holds
    its total; both are events since the last sample, or, with `counter`, ever growing counters as Prometheus
    has them. A rate without `total` is a gauge there.

    `weight` is the metric's share of the error budget. A metric that is not `must_not_fail` cannot roll a
    release back alone: the harmful ones must hold half of all weight.

    Raises:
        ValueError: the margin does not exceed the tolerance, or a metric that has no total names one.
    """

    name: Annotated[str, _key("the metric's name", min_length=1)]
    kind: Annotated[Kind, _key("rate, count, values, mean, distribution or gauge")]
    harm: Annotated[Harm, _key("the direction that hurts: up or down")] = "up"
    tolerance: Annotated[float, _key("relative harm that is accepted", ge=0)] = 0.05
    margin: Annotated[float, _key("relative harm that promotion must rule out", gt=0)] = 0.25
    negligible: Annotated[float, _key("a rate shown to be below this share is safe", ge=0, lt=1)] = 0.001
    weight: Annotated[float, _key("share of the error budget, relative to the others", gt=0)] = 1.0
    must_not_fail: Annotated[bool, _key("whether its harm alone rolls a release back")] = True
    total: Annotated[str | None, _key("for rate and count: the metric that holds the total")] = None
    counter: Annotated[bool, _key("with total: both only grow, and the growth is what counts")] = False

    def __post_init__(self) -> None:
        if self.margin <= self.tolerance:
            raise ValueError(
                f"metric {self.name}: margin {self.margin} must exceed tolerance {self.tolerance}; "
                "promotion rules out more harm than rollback tolerates"
            )
        if self.total is not None and self.kind not in ("rate", "count"):
            raise ValueError(f"metric {self.name}: total is for kinds rate and count, not {self.kind}")


class JudgeConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How releases are judged.

    `error` bounds the probability that a release without harm beyond its tolerances is ever rolled back,
    over all metrics and all looks; `promote_error` the probability that one with harm beyond a margin is
    promoted. Metrics that are not listed are judged by their observations' kind with the defaults
    of `MetricSpec`; with `only_listed` they are ignored.

    No rollback falls before `min_steps` steps, so that one odd report does not decide and the scatter between
    steps can show. No promotion falls before `bake_steps`, so that harm which takes its time can show. A
    release is promoted when every metric's harm is bounded by its margin. Where traffic is too thin for
    that, `term_steps` sets a term: after so many steps it is promoted when no metric's evidence speaks
    for harm and each is bounded by `term_margin`.

    Without a verdict `timeout_ms` after the start, the verdict is `on_timeout`. Its default, "continue",
    leaves the release where it is, for a person to decide; the watch goes on.

    Raises:
        ValueError: a metric is listed twice.
    """

    metrics: tuple[MetricSpec, ...] = ()
    only_listed: Annotated[bool, _key("ignore metrics that are not listed")] = False
    error: Annotated[float, _key("chance that a harmless release is ever rolled back", gt=0, lt=1)] = 0.01
    promote_error: Annotated[float, _key("chance that a harmful release is promoted", gt=0, lt=1)] = 0.05
    min_steps: Annotated[int, _key("steps before a rollback", ge=1)] = 3
    bake_steps: Annotated[int, _key("steps before a promotion", ge=1)] = 30
    term_steps: Annotated[
        Annotated[int, msgspec.Meta(ge=1)] | None,
        _key("steps after which a release without a sign of harm is promoted; absent: by evidence only"),
    ] = None
    term_margin: Annotated[float, _key("relative harm that must be ruled out at that term", gt=0)] = 1.0
    timeout_ms: Annotated[int, _key("ms after which on_timeout is the verdict", gt=0)] = 6 * 3_600_000
    on_timeout: Annotated[Decision, _key("continue, promote or rollback")] = "continue"
    step_ms: Annotated[
        Annotated[int, msgspec.Meta(gt=0)] | None, _key("length of a step; absent: found from the reports")
    ] = None

    def __post_init__(self) -> None:
        names = [metric.name for metric in self.metrics]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"metrics listed more than once: {', '.join(doubled)}; list each once")

    def spec(self, name: str, kind: Kind) -> MetricSpec | None:
        """The listed metric, else one of `kind` with the defaults; None where only listed ones count.

        `kind` is how its observations come: "rate" (count and total), "values", or "gauge" (one number). A
        rate or count that comes as one number a tick is judged as the gauge it has become.

        Raises:
            ValueError: the listed metric counts events and its observations are values, or vice versa.
        """
        for metric in self.metrics:
            if metric.name == name:
                counted = metric.kind in ("rate", "count")
                if kind == "gauge":
                    return msgspec.structs.replace(metric, kind="gauge", total=None) if counted else metric
                if counted != (kind == "rate"):
                    expected = "count and total" if counted else "values"
                    raise ValueError(f"metric {name} is configured as {metric.kind}: expected {expected}")
                return metric
        return None if self.only_listed else MetricSpec(name=name, kind=kind)
