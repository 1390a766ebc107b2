"""What the Python peers do with a sample: River's HalfSpaceTrees, one model per series."""

import json
import time
from typing import Any

from river.anomaly import HalfSpaceTrees

TREES, HEIGHT = 10, 8
ALARM = 0.95


class Models:
    """One model per series, in memory; prints a line when `warm` and when `records` samples were taken."""

    def __init__(self, warm: int, records: int) -> None:
        self._models: dict[str, Any] = {}
        self._milestones = {warm: "warm", records: "done"}
        self.count = 0

    def take(self, sample: dict[str, Any]) -> dict[str, Any] | None:
        """Score and learn a native JSON sample; return what to write where it is an anomaly."""
        series = sample["metric"] + str(sample["labels"])
        model = self._models.get(series)
        if model is None:
            # Values are scaled to what the samples hold, since the trees expect 0 to 1.
            model = HalfSpaceTrees(n_trees=TREES, height=HEIGHT, limits={"value": (0.0, 1000.0)}, seed=1)
            self._models[series] = model
        features = {"value": sample["value"]}
        score = model.score_one(features)
        model.learn_one(features)
        self.count += 1
        if self.count in self._milestones:
            line = {"event": self._milestones[self.count], "at": time.time(), "records": self.count}
            print(json.dumps(line), flush=True)
        return sample | {"score": score} if score > ALARM else None
