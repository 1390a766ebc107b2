"""River's models as a bank: one model per row, named in the configuration."""

import copy
import hmac
import importlib
import inspect
import math
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from river import stats
from river.base import AnomalyDetector, AnomalyFilter, DriftDetector, SupervisedAnomalyDetector

from detectors.port import (
    F64,
    I64,
    Scores,
    StateError,
    UnknownDetectorError,
    blank_scores,
    check_batch,
)

PREFIXES = ("river.anomaly.", "river.drift.")
WARM = 50
DAY_MS = 86_400_000
HOUR_MS = 3_600_000
LARGEST_SHARE = 0.05
MAC_BYTES = 32


@dataclass(slots=True)
class _Row:
    """One series: its model, the scaling of its features, and the quantiles of its scores."""

    model: Any
    quantiles: tuple[stats.Quantile, stats.Quantile] | None = None
    count: int = 0
    first_score: float | None = None
    last_time: int = 0
    last: float = 0.0
    cadence: float = 0.0
    low: list[float] = field(default_factory=lambda: [math.inf, math.inf])
    high: list[float] = field(default_factory=lambda: [-math.inf, -math.inf])


class RiverBank:
    """A `Bank` of one River anomaly or drift detector per row.

    An anomaly detector sees the features `value` and `change` (scaled to [0, 1] by the range seen so
    far), `hour` and `weekday` (as a share of the day and the week). It alarms when its score passes the
    running quantile (P2, Jain and Chlamtac 1985) of its own scores that the asked alarm rate stands for.
    A drift detector sees the value and alarms on a drift. A model that raises loses that sample only:
    its score is NaN and `Scores.errors` says why.
    """

    version = 1

    def __init__(
        self,
        name: str,
        build: Callable[[], Any],
        *,
        alarms_per_series_day: float,
        key: bytes | None,
    ) -> None:
        self.name = name
        self._build = build
        self._rate = alarms_per_series_day
        self._key = key
        self._rows: list[_Row | None] = []
        self._drift = isinstance(build(), DriftDetector)
        self.evidence = ("drift",) if self._drift else ("score",)

    @property
    def row_bytes(self) -> int:
        """Size of a pickled row: that of the first used one, else of a fresh one."""
        used = next((row for row in self._rows if row is not None), None)
        return len(pickle.dumps(used or _Row(self._build())))

    def grow(self, count: int) -> None:
        self._rows.extend([None] * (count - len(self._rows)))

    def reset(self, row: int) -> None:
        self._check_rows(row, row + 1)
        self._rows[row] = None

    def update(self, rows: I64, times: I64, values: F64) -> Scores:
        check_batch(rows, times, values, len(self._rows))
        errors: dict[int, str] = {}
        blank = blank_scores(len(rows), 1)
        out = Scores(
            score=blank.score,
            expected=blank.expected,
            lower=blank.lower,
            upper=blank.upper,
            alarm=blank.alarm,
            learning=blank.learning,
            evidence=blank.evidence,
            errors=errors,
        )
        for i, (row, time, value) in enumerate(
            zip(rows.tolist(), times.tolist(), values.tolist(), strict=True)
        ):
            if math.isnan(value):
                continue
            state = self._rows[row]
            if state is None:
                state = self._rows[row] = _Row(self._build())
            try:
                strength = (
                    self._drift_one(state, value) if self._drift else self._score_one(state, time, value)
                )
            except Exception as error:
                errors[i] = f"{type(error).__name__}: {error}"
                continue
            learning = state.count <= WARM
            out.learning[i] = learning
            out.score[i] = strength / (1.0 + strength)
            if not learning:
                out.evidence[i, 0] = strength
                out.alarm[i] = out.evidence[i, 0] >= 1.0
        return out

    def _score_one(self, state: _Row, time: int, value: float) -> float:
        """Strength of one sample, which is learnt; 1 at the quantile of the asked rate, 0 at the median."""
        features = _features(state, time, value)
        supervised = isinstance(state.model, SupervisedAnomalyDetector)
        target = (value,) if supervised else ()
        score = float(state.model.score_one(features, *target))
        state.model.learn_one(features, *target)
        if not math.isfinite(score):
            score = 0.0  # some of River's models have no score before they have learnt enough
        strength = 0.0
        if state.quantiles is not None:
            middle, threshold = (quantile.get() or 0.0 for quantile in state.quantiles)
            constant = state.high[0] == state.low[0]  # whatever the hour does to the model
            if not constant and threshold > middle and score > middle:
                strength = (score - middle) / (threshold - middle)
        if state.first_score is None:
            state.first_score = score
        if score == state.first_score and state.quantiles is None:
            state.count = 1  # some models are silent until they have filled a window: not yet begun
        if state.count == WARM // 2:  # by now the cadence is known
            share = min(LARGEST_SHARE, self._rate * max(state.cadence, 1.0) / DAY_MS)
            state.quantiles = (stats.Quantile(0.5), stats.Quantile(1.0 - share))
        if state.quantiles is not None:
            for quantile in state.quantiles:
                quantile.update(score)
        return strength

    def _drift_one(self, state: _Row, value: float) -> float:
        state.count += 1
        state.model.update(value)
        return 1.0 if state.model.drift_detected else 0.0

    def dump(self, start: int, stop: int) -> bytes:
        self._check_rows(start, stop)
        body = self._header() + pickle.dumps(self._rows[start:stop], protocol=5)
        return self._mac(body) + body

    def load(self, start: int, stop: int, data: bytes) -> None:
        self._check_rows(start, stop)
        mac, body = data[:MAC_BYTES], data[MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(body)):
            raise StateError(
                f"{self.name}: the block's signature is wrong: another key, or altered; not loaded"
            )
        header = self._header()
        if not body.startswith(header):
            found = body.partition(b"\n")[0][:80].decode("ascii", "replace")
            expected = header.decode("ascii").rstrip("\n")
            raise StateError(f"block of {found!r}, expected {expected!r}: drop the state or run that version")
        rows = pickle.loads(body[len(header) :])  # noqa: S301 - authentic, checked above
        if len(rows) != stop - start:
            raise StateError(f"block of {len(rows)} rows, expected {stop - start}")
        self._rows[start:stop] = rows

    def _mac(self, body: bytes) -> bytes:
        if not self._key:
            raise StateError(
                f"{self.name}: a River model's state is pickled and needs a secret key to be kept"
            )
        return hmac.digest(self._key, body, sha256)

    def _header(self) -> bytes:
        return f"{self.name}/{self.version}\n".encode("ascii")

    def _check_rows(self, start: int, stop: int) -> None:
        if not 0 <= start <= stop <= len(self._rows):
            last = len(self._rows) - 1
            raise IndexError(f"rows {start} to {stop - 1} are not all in 0 to {last}; call grow first")


def _features(state: _Row, time: int, value: float) -> dict[str, float]:
    """Scaled features of one sample; moves the row's range, last value and cadence."""
    change = value - state.last if state.count else 0.0
    if state.count and time > state.last_time:
        gap = float(time - state.last_time)
        state.cadence = gap if state.cadence == 0.0 else 0.9 * state.cadence + 0.1 * gap
    state.last, state.last_time = value, time
    state.count += 1
    scaled = []
    for i, raw in enumerate((value, change)):
        state.low[i], state.high[i] = min(state.low[i], raw), max(state.high[i], raw)
        span = state.high[i] - state.low[i]
        scaled.append((raw - state.low[i]) / span if span > 0.0 else 0.5)
    hours = time / HOUR_MS
    return {"value": scaled[0], "change": scaled[1], "hour": hours % 24 / 24, "weekday": hours % 168 / 168}


def known_river_models() -> tuple[str, ...]:
    """Dotted names that `river_bank` takes."""
    names = []
    for prefix in PREFIXES:
        module = importlib.import_module(prefix.rstrip("."))
        names += [f"{prefix}{name}" for name in module.__all__ if _usable(getattr(module, name, None))]
    return tuple(names)


def river_bank(
    name: str, params: Mapping[str, object], *, alarms_per_series_day: float, key: bytes | None
) -> RiverBank:
    """A bank of the River model with that dotted name, built with `params` for every row.

    A model that takes a `seed` gets 0 where none is given, so that a replay gives the same scores.

    Raises:
        UnknownDetectorError: River has no such detector, or it refuses the parameters.
    """
    if name not in known_river_models():
        raise UnknownDetectorError(f"unknown detector {name!r}: River has {', '.join(known_river_models())}")
    module, _, attribute = name.rpartition(".")
    kind = getattr(importlib.import_module(module), attribute)
    given = dict(params)
    if "seed" in inspect.signature(kind).parameters:
        given.setdefault("seed", 0)
    try:
        kind(**given)
    except Exception as error:
        raise UnknownDetectorError(f"{name} refuses its parameters: {error}") from error
    return RiverBank(
        name,
        lambda: kind(**copy.deepcopy(given)),
        alarms_per_series_day=alarms_per_series_day,
        key=key,
    )


def _usable(kind: object) -> bool:
    """Whether it can stand alone: filters wrap another detector."""
    kinds = (AnomalyDetector, SupervisedAnomalyDetector, DriftDetector)
    return inspect.isclass(kind) and issubclass(kind, kinds) and not issubclass(kind, AnomalyFilter)
