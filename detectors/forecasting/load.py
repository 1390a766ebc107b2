"""The forecaster of one target's load: the native ensemble, joined by River models where asked."""

import hmac
import math
import pickle
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

from detectors.forecasting.port import F64, ForecasterStateError
from detectors.forecasting.registry import make_forecaster
from detectors.forecasting.seasonal import ENSEMBLE, SeasonalForecaster

if TYPE_CHECKING:
    from river.time_series.base import Forecaster

_ROW = np.zeros(1, dtype=np.int64)
MOST_STEPS = 64  # a River model is asked this far ahead at most: its forecasts cost by the step
MAC_BYTES = 32


class LoadForecaster:
    """Quantiles of one load at any horizon, by an ensemble weighted by recent pinball loss.

    `members` maps names of additional River forecasters to (dotted name, parameters). Each costs
    what it costs per sample: SNARIMAX about a millisecond. Their state is pickled, so a key is needed
    to keep it (HMAC-SHA256, checked before unpickling).
    """

    def __init__(self, members: Mapping[str, tuple[str, Mapping[str, object]]] | None = None) -> None:
        members = members or {}
        self._native = SeasonalForecaster(outside=tuple(members))
        self._native.grow(1)
        self._members = [make_forecaster(model, params) for model, params in members.values()]
        self._points = np.full((1, len(self._members), MOST_STEPS), np.nan)

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the ensemble's members, and of the ensemble last."""
        return self._native.models

    def observe(self, ts_ms: int, value: float) -> None:
        """Learn the load at `ts_ms` (Unix ms); not a finite number: missing."""
        if not math.isfinite(value):
            return
        outside = None
        if self._members:
            for number, member in enumerate(self._members):
                member.learn_one(value)
                self._points[0, number] = _points(member)
            cadence = self._native.cadence_ms(0)
            outside = self._at(self._native.horizons_ms(0), cadence)
        time = np.array([ts_ms], dtype=np.int64)
        self._native.update(_ROW, time, np.array([value]), outside)

    def forecast(self, horizons_ms: Sequence[int], levels: Sequence[float], model: str = ENSEMBLE) -> F64:
        """Quantiles `[horizon, level]` that long after the last sample; NaN before the first one."""
        outside = self._at(horizons_ms, self._native.cadence_ms(0)) if self._members else None
        values: F64 = self._native.forecast(_ROW, horizons_ms, levels, model=model, outside=outside)[0]
        return values

    def losses(self) -> F64:
        """Recent mean pinball loss `[horizon, model]` over the load's scale; NaN: not tried yet."""
        return self._native.losses(0)

    def horizons_ms(self) -> tuple[float, ...]:
        """The horizons at which members are compared; 0 for those not in use."""
        return self._native.horizons_ms(0)

    def skill(self) -> float | None:
        """One minus the ensemble's recent loss over persistence's, mean over horizons; None: too early."""
        losses = self.losses()
        ratio = losses[:, -1] / np.maximum(losses[:, 0], 1e-12)
        return None if np.isnan(ratio).all() else float(1.0 - np.nanmean(ratio))

    def _at(self, horizons_ms: Sequence[float], cadence_ms: float) -> F64:
        """The members' points `[1, member, horizon]`, NaN where they are not asked that far."""
        out = np.full((1, len(self._members), len(horizons_ms)), np.nan)
        for k, horizon in enumerate(horizons_ms):
            step = round(horizon / cadence_ms) if cadence_ms > 0.0 else 0
            if 1 <= step <= MOST_STEPS:
                out[0, :, k] = self._points[0, :, step - 1]
        return out

    def dump(self, key: bytes | None = None) -> bytes:
        """The state, for `load`.

        Raises:
            ForecasterStateError: River members' state cannot be kept without a key.
        """
        native = self._native.dump(0, 1)
        if not self._members:
            return native
        pickled = pickle.dumps((self._members, self._points), protocol=5)
        body = len(native).to_bytes(8, "big") + native + pickled
        return _mac(key, body) + body

    def load(self, data: bytes, key: bytes | None = None) -> None:
        """Go on from `dump` of an equally configured forecaster.

        Raises:
            ForecasterStateError: other models or version, or not authentic.
        """
        if not self._members:
            self._native.load(0, 1, data)
            return
        mac, body = data[:MAC_BYTES], data[MAC_BYTES:]
        if not hmac.compare_digest(mac, _mac(key, body)):
            raise ForecasterStateError("the state's signature is wrong: another key, or altered; not loaded")
        size = int.from_bytes(body[:8], "big")
        self._native.load(0, 1, body[8 : 8 + size])
        self._members, self._points = pickle.loads(body[8 + size :])  # noqa: S301 - authentic, checked above


def _mac(key: bytes | None, body: bytes) -> bytes:
    if not key:
        raise ForecasterStateError("River forecasters' state is pickled and needs a secret key to be kept")
    return hmac.digest(key, body, sha256)


def _points(member: "Forecaster") -> F64:
    """The member's next points; NaN where it cannot tell yet, or its arithmetic has broken down."""
    points = np.full(MOST_STEPS, np.nan)
    try:
        ahead = np.asarray(member.forecast(horizon=MOST_STEPS), dtype=np.float64)
    except (ValueError, IndexError, ZeroDivisionError, OverflowError, TypeError):
        return points
    points[: len(ahead)] = ahead
    points[~np.isfinite(points)] = np.nan
    return points
