"""What a release is judged on: the metrics, what counts as harm, and the errors one accepts."""

from typing import Annotated, Literal

import msgspec

Kind = Literal["rate", "count", "values", "gauge"]
Harm = Literal["up", "down"]
Mode = Literal["control", "before-after"]
Decision = Literal["continue", "promote", "rollback"]

Share = Annotated[float, msgspec.Meta(gt=0, lt=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]


class MetricSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One metric of a release.

    `kind` says what an observation is: "rate" `count` of `total` (errors of requests), "count" events
    per exposure (`total` is the exposure), "values" the single measurements (latencies), "gauge" one
    already aggregated number per tick. `harm` is the direction that hurts.

    `tolerance` is the relative harm one accepts: evidence is only evidence of more harm than that.
    `margin` is the relative harm that promotion must rule out. Both are relative odds for rates, relative
    rates for counts and relative size for values and gauges. A rate whose canary is shown to stay below
    `negligible` (a share) is safe whatever the ratio, so that a service without errors can be promoted.

    `weight` is the metric's share of the error budget. A metric that is not `must_not_fail` cannot roll a
    release back alone: the harmful ones must hold half of all weight.
    """

    name: str
    kind: Kind
    harm: Harm = "up"
    tolerance: NotNegative = 0.05
    margin: Positive = 0.25
    negligible: NotNegative = 0.001
    weight: Positive = 1.0
    must_not_fail: bool = True

    def __post_init__(self) -> None:
        if self.margin <= self.tolerance:
            raise ValueError(
                f"metric {self.name}: margin {self.margin} must exceed tolerance {self.tolerance}; "
                "promotion rules out more harm than rollback tolerates"
            )


class JudgeConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How releases are judged.

    `error` bounds the probability that a release without harm beyond its tolerances is ever rolled back,
    over all metrics and all looks; `promote_error` the probability that one with harm beyond a margin is
    promoted by evidence. Metrics that are not listed are judged by their observations' kind with the
    defaults of `MetricSpec`; with `only_listed` they are ignored.

    No verdict falls before `min_steps` steps with both arms. A release is promoted when every metric's harm
    is bounded by its margin. Where traffic is too thin for that, `bake_steps` sets a term: after so many
    steps it is promoted when no metric's evidence speaks for harm and each is bounded by `bake_margin`.
    None, the default, leaves promotion to the evidence alone.
    Without a control a release is promoted after `bake_ticks` ticks at the earliest, as only time can show.

    Without a verdict `timeout_ms` after the start, the verdict is `on_timeout`. Its default, "continue",
    leaves the release where it is, for a person to decide; the watch goes on.
    """

    metrics: tuple[MetricSpec, ...] = ()
    only_listed: bool = False
    error: Share = 0.01
    promote_error: Share = 0.05
    min_steps: Annotated[int, msgspec.Meta(ge=1)] = 2
    bake_steps: Annotated[int, msgspec.Meta(ge=1)] | None = None
    bake_ticks: Annotated[int, msgspec.Meta(ge=1)] = 30
    bake_margin: Positive = 1.0
    timeout_ms: Annotated[int, msgspec.Meta(gt=0)] = 6 * 3_600_000
    on_timeout: Decision = "continue"
    step_ms: Annotated[int, msgspec.Meta(gt=0)] | None = None

    def __post_init__(self) -> None:
        names = [metric.name for metric in self.metrics]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"metrics listed more than once: {', '.join(doubled)}; list each once")

    def spec(self, name: str, kind: Kind) -> MetricSpec | None:
        """The listed metric, else one of `kind` with the defaults; None where only listed ones count."""
        for metric in self.metrics:
            if metric.name == name:
                return metric
        return None if self.only_listed else MetricSpec(name=name, kind=kind)
