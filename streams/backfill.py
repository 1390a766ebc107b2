"""`tidegate backfill`: what Prometheus remembers, written to `metrics`, so that no model starts blind."""

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import httpx
import numpy as np

from streams.produce import Series, write
from streams.traces import Trace

MOST_POINTS = 10_000
"""Points of a series that one query asks for; Prometheus gives 11 000 at most."""

TIMEOUT_S = 60.0

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


class BackfillError(RuntimeError):
    """Nothing can be back-filled; the text says why and what to do."""


class Recorded(NamedTuple):
    """A series with its samples, in time order."""

    series: Series
    trace: Trace


def seconds(text: str) -> float:
    """Seconds of a duration such as 90s, 30m, 12h, 7d or 2w.

    >>> seconds("12h")
    43200.0

    Raises:
        BackfillError: it is none.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text.strip())
    if match is None or float(match[1]) <= 0:
        raise BackfillError(f"{text!r} is no duration: expected a number and s, m, h, d or w, such as 7d")
    return float(match[1]) * _UNITS[match[2]]


async def query_range(
    client: httpx.AsyncClient, query: str, *, start_s: float, end_s: float, step_s: float, metric: str = ""
) -> list[Recorded]:
    """The series that a PromQL `query` gives from `start_s` to `end_s` (Unix seconds) each `step_s`.

    `client` has Prometheus' address as its base URL. A long range is asked for in parts. `metric` names
    results that have no name of their own, as those of `rate(...)` or `sum(...)` do not.

    Raises:
        BackfillError: Prometheus cannot be reached or refuses, or a result has no name.
    """
    if not step_s > 0 or not end_s > start_s:
        raise BackfillError(
            f"from {start_s:g} to {end_s:g} each {step_s:g} s makes no sense: expected a span"
        )
    found: dict[bytes, tuple[Series, list[tuple[float, str]]]] = {}
    part_s = step_s * MOST_POINTS
    begin = start_s
    while begin <= end_s:
        # Both ends belong to a range, so the next part begins a step later.
        last = min(begin + part_s - step_s, end_s)
        ask = {"query": query, "start": f"{begin:.3f}", "end": f"{last:.3f}", "step": f"{step_s:g}"}
        for labels, points in _matrix(await _ask(client, ask)):
            series = _series(labels, metric)
            found.setdefault(series.key, (series, []))[1].extend(points)
        begin += part_s
    return [Recorded(series, _trace(points)) for series, points in found.values()]


async def _ask(client: httpx.AsyncClient, ask: Mapping[str, str]) -> Any:
    where = f"{client.base_url} query_range"
    try:
        response = await client.post("api/v1/query_range", data=dict(ask))
        body = response.json()
    except httpx.HTTPError as error:
        raise BackfillError(f"{where}: {type(error).__name__}: {error}; is Prometheus there?") from error
    except ValueError as error:
        raise BackfillError(
            f"{where}: answered {response.status_code} and no JSON: not Prometheus"
        ) from error
    if not isinstance(body, dict) or body.get("status") != "success":
        told = body.get("error") if isinstance(body, dict) else response.status_code
        raise BackfillError(f"{where}: refused {ask['query']!r}: {told}")
    return body["data"]


def _matrix(data: Any) -> list[tuple[dict[str, str], list[tuple[float, str]]]]:
    if data.get("resultType") != "matrix":
        raise BackfillError(f"the result is a {data.get('resultType')}, expected a matrix")
    return [(result["metric"], [(at, value) for at, value in result["values"]]) for result in data["result"]]


def _series(labels: Mapping[str, str], metric: str) -> Series:
    name = metric or labels.get("__name__", "")
    if not name:
        raise BackfillError("the query's results have no name: give one with --metric")
    return Series(name, {label: value for label, value in labels.items() if label != "__name__"})


def _trace(points: list[tuple[float, str]]) -> Trace:
    values = np.array([float(value) for _, value in points])
    values[~np.isfinite(values)] = math.nan
    times = np.array([round(at * 1000.0) for at, _ in points], dtype=np.int64)
    return Trace([str(at) for at, _ in points], [value for _, value in points], times, values)


async def backfill(
    query: str,
    *,
    prometheus: str,
    end_s: float,
    span_s: float,
    step_s: float,
    metric: str,
    connection: Mapping[str, Any],
    topic: str,
) -> tuple[int, int]:
    """Write the series of `query` in the `span_s` before `end_s` to `topic`; numbers of series and samples.

    Raises:
        BackfillError: Prometheus cannot be used, or has nothing.
        ProduceError: there is no such topic.
        KafkaError: the brokers cannot be reached or refuse a record.
    """
    async with httpx.AsyncClient(base_url=prometheus, timeout=TIMEOUT_S) as client:
        found = await query_range(
            client, query, start_s=end_s - span_s, end_s=end_s, step_s=step_s, metric=metric
        )
    if not found:
        raise BackfillError(f"{prometheus} knows no series for {query!r} in that time")
    samples = 0
    for series, trace in found:
        samples += (await write(trace, connection=connection, series=series, topic=topic)).samples
    return len(found), samples
