"""A detector of one's own, as the page about adding one writes it, is named in the configuration."""

import re
from pathlib import Path

import numpy as np
import pytest

from detectors.port import UnknownDetectorError
from detectors.registry import make_bank

PAGE = Path(__file__).parents[2] / "docs" / "add-a-detector.md"


def test_the_pages_detector_works_by_module_and_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (own,) = [block for block in blocks if "def make(" in block]
    (tmp_path / "my_detector.py").write_text(own)
    monkeypatch.syspath_prepend(str(tmp_path))
    bank = make_bank("my_detector:make", {"margin": 2.0})
    bank.grow(1)
    values = np.r_[np.arange(60.0) % 5, np.nan, 30.0]
    scores = bank.update(np.zeros(62, np.int64), 60_000 * np.arange(62), values)
    assert np.flatnonzero(scores.alarm).tolist() == [61]
    assert np.isnan(scores.score[60])
    with pytest.raises(UnknownDetectorError, match="it takes margin"):
        make_bank("my_detector:make", {"marign": 1})


@pytest.mark.parametrize("model", ["no_such_module:make", "math:no_such_function", "math:pi", ":make"])
def test_a_factory_that_is_not_there_is_said(model: str) -> None:
    with pytest.raises(UnknownDetectorError, match=re.escape(model)):
        make_bank(model)
