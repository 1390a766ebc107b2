"""`tidegate experiment`: where an experiment stands, from its observations in a file.

In, one observation a line: `{"ts":1700000000000,"variant":"red","metric":"bought","count":12,"total":200}`,
or with `"values":[…]`, or `{"ts":…,"variant":"red","units":200}` for units that were newly assigned.
"""

import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import msgspec

from planners.releases import Experiment, ExperimentConfig
from planners.releases.experiment import Report
from streams.config import ConfigError


class ExperimentError(ValueError):
    """A line is not an observation of the experiment; the text names the file and the line."""


class Observation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of the input."""

    ts: int
    variant: Annotated[str, msgspec.Meta(min_length=1)]
    metric: str | None = None
    count: Annotated[float, msgspec.Meta(ge=0)] | None = None
    total: Annotated[float, msgspec.Meta(ge=0)] | None = None
    values: list[float] | None = None
    units: Annotated[int, msgspec.Meta(ge=0)] | None = None

    def __post_init__(self) -> None:
        counted = self.count is not None and self.total is not None
        if counted + (self.values is not None) + (self.units is not None) != 1:
            raise ValueError('expected one of "count" with "total", "values", or "units"')
        if self.units is None and self.metric is None:
            raise ValueError('"metric" is missing')


def read_experiment(path: Path) -> ExperimentConfig:
    """The experiment that the TOML file at `path` describes.

    Raises:
        ConfigError: it cannot be read, is not TOML, or does not describe an experiment.
    """
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), ExperimentConfig)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from error
    except (msgspec.ValidationError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error


def run(
    config: ExperimentConfig, observations: Path, told: Callable[[Report], None] = lambda report: None
) -> tuple[Experiment, Report]:
    """The experiment after all of `observations`, or after the line at which it was decided, and its report.

    `told` is called with the report of each new time. A winner, once found, stays: what comes after it is
    not looked at, since the promise is about the first decision.

    Raises:
        ExperimentError: a line is not an observation of it.
        OSError: the file cannot be read.
    """
    experiment: Experiment | None = None
    now = 0
    for number, seen in _read(observations):
        if experiment is None:
            experiment, now = Experiment.begin(config, seen.ts), seen.ts
        try:
            if seen.ts > now:  # all of the time before is in: variants are not looked at half way through it
                now = seen.ts
                report = experiment.report()
                told(report)
                if report.state in ("winner", "no-winner", "ended"):
                    return experiment, report
            _observe(experiment, seen)
        except ValueError as error:
            raise ExperimentError(f"{observations}, line {number}: {error}") from error
    if experiment is None:
        raise ExperimentError(f"{observations}: is empty, expected a line of JSON per observation")
    experiment.close_step()
    return experiment, experiment.report()


def _observe(experiment: Experiment, seen: Observation) -> None:
    if seen.units is not None:
        experiment.observe_units(seen.variant, seen.units)
    elif seen.values is not None:
        experiment.observe_values(seen.ts, seen.variant, str(seen.metric), seen.values)
    elif seen.count is not None and seen.total is not None:
        experiment.observe_count(seen.ts, seen.variant, str(seen.metric), seen.count, seen.total)


def _read(path: Path) -> Iterator[tuple[int, Observation]]:
    decoder = msgspec.json.Decoder(Observation, strict=True)
    with path.open("rb") as source:
        for number, line in enumerate(source, start=1):
            if line.strip():
                try:
                    yield number, decoder.decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                    raise ExperimentError(f"{path}, line {number}: {error}") from error


def in_words(report: Report, split: dict[str, float]) -> str:
    """The report for a reader; `split` are the percentages that a bandit would give next."""
    lines = [f"{report.experiment}: {report.state}" + (f", {report.winner}" if report.winner else "")]
    lines.append(report.reason)
    for each in report.results:
        interval = f"{each.ratio:.4g} ({each.lower:.4g} to {each.upper:.4g})"
        lines.append(f"  {each.variant} {each.metric}: {each.finding}, {interval} times the control's")
    best = ", ".join(f"{name} {chance:.1%}" for name, chance in report.best.items())
    lines.append(f"  probability to be best: {best}")
    lines.append("  Thompson split: " + ", ".join(f"{name} {share:g} %" for name, share in split.items()))
    lines.append(f"  evidence of a wrong split of units: {report.mismatch:.3g}")
    return "\n".join(lines)
