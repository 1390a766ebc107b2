"""`tidegate backtest rollout`: verdicts on releases from a file, as they would have fallen live.

In, one observation a line: `{"ts":1700000000000,"release":"v2","arm":"control","metric":"errors","count":3,
"total":200}`, or with `"values":[12.5,…]`, or `"value":0.4` for a gauge; `ts` is Unix ms. Releases may
be interleaved; within a release lines ascend in time. Out, one line a release: its verdict when it was
reached, or `continue` at the end of the input.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from planners.releases import JudgeConfig, ReleaseJudge, Verdict

Progress = Callable[[int, int], None]

_REPORT_EVERY = 10_000


class ObservationError(ValueError):
    """A line is not an observation; the text names the file, the line and the path in it."""


class Observation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of the input: exactly one of `count` with `total`, `values`, or `value`."""

    ts: int
    release: Annotated[str, msgspec.Meta(min_length=1)]
    arm: Literal["control", "canary"]
    metric: Annotated[str, msgspec.Meta(min_length=1)]
    count: Annotated[float, msgspec.Meta(ge=0)] | None = None
    total: Annotated[float, msgspec.Meta(ge=0)] | None = None
    values: list[float | None] | None = None
    value: float | msgspec.UnsetType | None = msgspec.UNSET

    def __post_init__(self) -> None:
        counted = self.count is not None or self.total is not None
        forms = counted + (self.values is not None) + (self.value is not msgspec.UNSET)
        if forms != 1:
            raise ValueError('expected one of "count" with "total", "values", or "value"')
        if counted and (self.count is None or self.total is None):
            raise ValueError('"count" and "total" go together; count events of total requests')


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the output; `metric` is the one with the most evidence of harm."""

    ts: int
    release: str
    verdict: str
    metric: str | None
    reason: str


def backtest(
    observations: Path,
    out: Path,
    config: JudgeConfig | None = None,
    progress: Progress | None = None,
) -> list[Verdict]:
    """Judge every release in `observations` and write one line per release to `out`.

    Each verdict is decided from the lines up to it only. `progress(done, of)` is called with bytes read
    now and then. Returns the verdicts in the order of the lines written.

    Raises:
        ObservationError: a line is not an observation.
        OSError: a file cannot be read or written.
    """
    config = config or JudgeConfig()
    judges: dict[str, ReleaseJudge] = {}
    verdicts: list[Verdict] = []
    with out.open("wb") as sink:

        def settle(verdict: Verdict | None) -> None:
            if verdict is not None:
                sink.write(_line(verdict))
                verdicts.append(verdict)

        for number, observation in _read(observations, progress):
            judge = judges.get(observation.release)
            if judge is None:
                judge = ReleaseJudge.begin(observation.release, observation.ts, config)
                judges[observation.release] = judge
            try:
                _check(observation, config)
                settle(_observe(judge, observation))
            except ValueError as error:
                raise ObservationError(f"{observations}, line {number}: {error}") from error
        for judge in judges.values():
            if judge.verdict is None:
                settle(judge.finish())
    return verdicts


def _observe(judge: ReleaseJudge, seen: Observation) -> Verdict | None:
    if seen.values is not None:
        values = [value for value in seen.values if value is not None]
        return judge.observe_values(seen.ts, seen.arm, seen.metric, values)
    if seen.count is not None and seen.total is not None:
        return judge.observe_count(seen.ts, seen.arm, seen.metric, seen.count, seen.total)
    value = None if seen.value is msgspec.UNSET else seen.value
    return judge.observe_value(seen.ts, seen.arm, seen.metric, value)


def _read(path: Path, progress: Progress | None) -> Iterator[tuple[int, Observation]]:
    decoder = msgspec.json.Decoder(Observation, strict=True)
    size, done = path.stat().st_size, 0
    with path.open("rb") as source:
        for number, line in enumerate(source, start=1):
            done += len(line)
            if progress is not None and (number % _REPORT_EVERY == 0 or done == size):
                progress(done, size)
            if not line.strip():
                continue
            try:
                observation = decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise ObservationError(f"{path}, line {number}: {error}") from error
            yield number, observation


def _check(seen: Observation, config: JudgeConfig) -> None:
    """A count is part of its total, but where the metric is configured to count events per exposure."""
    if seen.count is None or seen.total is None or seen.count <= seen.total:
        return
    spec = config.spec(seen.metric, "rate")
    if spec is not None and spec.kind == "rate":
        raise ValueError(
            f"count {seen.count:g} exceeds total {seen.total:g} - at `$.count`; a rate counts events among "
            f'total requests; for events per exposure configure {seen.metric} with kind = "count"'
        )


def _line(verdict: Verdict) -> bytes:
    line = Line(
        ts=verdict.ts,
        release=verdict.release,
        verdict=verdict.verdict,
        metric=verdict.metric,
        reason=verdict.reason,
    )
    return msgspec.json.encode(line) + b"\n"
