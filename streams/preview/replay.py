"""A replay that is looked at: the page, and the what-if table."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from planners.cost import Prices
from streams.backtest_scale import Summary, backtest
from streams.preview.course import Course, CourseRecorder
from streams.preview.page import page
from streams.preview.what_if import case_of, table, variations
from streams.scale_config import ScaleConfig
from streams.traces import TraceError, read_trace

Progress = Callable[[int, int], None]


def look(
    trace: Path,
    out: Path,
    config: ScaleConfig,
    plot: Path | None,
    *,
    others: bool,
    progress: Progress | None = None,
) -> tuple[Summary, str]:
    """Replay `trace` as `backtest` does; write the page `plot`; with `others`, replay the variations too.

    Returns the replay's summary and what to tell. A capacity that is not given is taken from the highest
    load of all for the picture and for breaches; decisions do not know it.

    Raises:
        TraceError: as `backtest`, and where there are less than two rows of load.
    """
    capacity = config.capacity or _highest(trace) / config.peak_replicas
    summary, course = _seen(trace, out, config, capacity, progress)
    cases = []
    if others:
        cases.append(case_of(config, course))
        with TemporaryDirectory() as folder:
            for each in variations(config):
                _, other = _seen(trace, Path(folder) / "decisions.csv", each, capacity, progress)
                cases.append(case_of(each, other))
    if plot is not None:
        partial = plot.with_name(plot.name + ".part")
        partial.write_text(page(trace.name, course, cases), encoding="utf-8")
        partial.replace(plot)
    told = [table(cases)] if cases else []
    return summary, "\n".join([*told, f"page: {plot}"] if plot is not None else told)


def _highest(trace: Path) -> float:
    values = read_trace(trace).values
    known = values[np.isfinite(values)]
    if not len(known) or known.max() <= 0.0:
        raise TraceError(f"{trace}: no load above zero, expected rows of time and value")
    return float(known.max())


def _seen(
    trace: Path, out: Path, config: ScaleConfig, capacity: float, progress: Progress | None
) -> tuple[Summary, Course]:
    recorder = CourseRecorder(config, capacity, Prices(on_demand=config.price))
    summary = backtest(trace, out, config, progress, see=recorder.see)
    course = recorder.course()
    if course is None:
        raise TraceError(f"{trace}: less than two rows of load, expected more to draw")
    return summary, course
