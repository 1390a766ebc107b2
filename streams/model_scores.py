"""How well forecasts hold, day by day: losses, coverage of quantiles, drift of the input."""

import math
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

DAY_MS = 86_400_000
_DECILES = 10
_LEAST = 50  # samples that a day needs to be a yardstick


class Pending(msgspec.Struct, array_like=True):
    """Quantiles that models gave, at one time, for the load at `due` (Unix ms)."""

    due: int
    values: dict[str, list[float]]


class ModelScores(msgspec.Struct):
    """Scores of each model's forecasts of one horizon; plain data.

    `below[level]` counts the loads of the present day at or below the champion's quantile. The first full day
    is the yardstick of the input: `edges` are its deciles. `drift` is the population stability index of
    the last full day against it; above 0.25 the input is commonly held to have shifted.
    """

    pending: list[Pending] = []
    losses: dict[str, float] = {}
    below: dict[str, int] = {}
    seen: int = 0
    day: int = -1
    loads: list[float] = []
    edges: list[float] = []
    coverage: dict[str, float] = {}
    drift: float | None = None

    def note(self, due: int, values: Mapping[str, Sequence[float]]) -> None:
        """Remember what the models forecast for `due`."""
        self.pending.append(Pending(due, {name: list(quantiles) for name, quantiles in values.items()}))

    def score(
        self, ts: int, load: float, levels: Sequence[float], champion: str, cadence_ms: int
    ) -> dict[str, float] | None:
        """Each model's pinball loss for the load at `ts`, mean over `levels`; None where none was due."""
        self._day(ts, load)
        due = [each for each in self.pending if each.due <= ts]
        self.pending = [each for each in self.pending if each.due > ts]
        if not due or ts - due[-1].due > cadence_ms:
            return None  # a gap: what was forecast was for a moment without a sample
        values = due[-1].values
        losses = {name: _pinball(quantiles, levels, load) for name, quantiles in values.items()}
        for name, loss in losses.items():
            old = self.losses.get(name)
            self.losses[name] = loss if old is None else 0.99 * old + 0.01 * loss
        self.seen += 1
        for level, quantile in zip(levels, values.get(champion, ()), strict=False):
            self.below[f"{level:g}"] = self.below.get(f"{level:g}", 0) + (load <= quantile)
        return losses

    def metrics(self) -> dict[str, float]:
        """What is known, by name."""
        found = {f"loss.{name}": loss for name, loss in self.losses.items()}
        found |= {f"coverage.{level}": share for level, share in self.coverage.items()}
        return found if self.drift is None else found | {"input_drift": self.drift}

    def _day(self, ts: int, load: float) -> None:
        day = ts // DAY_MS
        if day != self.day and self.day >= 0:
            if self.seen >= _LEAST:
                self.coverage = {level: count / self.seen for level, count in self.below.items()}
            if len(self.loads) >= _LEAST:
                self._close()
            self.below, self.seen, self.loads = {}, 0, []
        self.day = day
        self.loads.append(load)

    def _close(self) -> None:
        loads = np.asarray(self.loads)
        if not self.edges:
            self.edges = np.quantile(loads, np.linspace(0, 1, _DECILES + 1)[1:-1]).tolist()
            return
        counts = np.bincount(np.searchsorted(self.edges, loads), minlength=_DECILES)
        share = np.maximum(counts / counts.sum(), 1e-4)  # a decile without a load is no infinite drift
        self.drift = float(np.sum((share - 1 / _DECILES) * np.log(share * _DECILES)))


def _pinball(quantiles: Sequence[float], levels: Sequence[float], load: float) -> float:
    losses = [
        level * (load - value) if load >= value else (1 - level) * (value - load)
        for level, value in zip(levels, quantiles, strict=True)
    ]
    return math.fsum(losses) / len(losses)
