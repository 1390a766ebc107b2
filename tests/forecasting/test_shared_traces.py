"""Coverage on real loads, where they are at hand."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from detectors.forecasting import SeasonalForecaster

ROOT = Path(__file__).parents[2]
TRACES = Path(os.environ.get("TIDEGATE_DATA", ROOT.parent / "shared")) / "data" / "load-traces" / "crane"
MINUTE = 60_000


@pytest.mark.parametrize("name", ["input0.csv", "input3.csv", "input7.csv"])
@pytest.mark.parametrize("steps", [1, 10, 60])
def test_coverage_within_three_hundredths(name: str, steps: int) -> None:
    path = TRACES / name
    if not path.exists():
        pytest.skip(f"{path} is not there: set TIDEGATE_DATA to the folder that holds data/load-traces")
    with path.open(newline="") as file:
        values = np.array([float(row[1]) for row in list(csv.reader(file))[1:]])
    bank = SeasonalForecaster()
    bank.grow(1)
    row = np.zeros(1, dtype=np.int64)
    levels, covered = [0.5, 0.9, 0.99], []
    for minute in range(len(values) - steps):
        bank.update(row, np.array([minute * MINUTE]), values[minute : minute + 1])
        if minute >= 2880 and minute % 7 == 0:
            told = bank.forecast(row, [steps * MINUTE], levels)[0, 0]
            covered.append(values[minute + steps] <= told)
    np.testing.assert_allclose(np.mean(covered, axis=0), levels, atol=0.03)
