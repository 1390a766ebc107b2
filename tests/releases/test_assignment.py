"""Sticky assignment: the published vectors, the shares, and the same answer in another language."""

import json
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planners.releases.assignment import BUCKETS, assign, bucket, shares

VECTORS = [
    ("checkout-button", "user-1", 7920),
    ("checkout-button", "user-2", 4895),
    ("checkout-button", "ünïcode", 6022),
    ("pricing", "user-1", 1557),
    ("pricing", "", 6732),
]

PAGE = Path(__file__).parents[2] / "docs" / "releases.md"
CALL = "console.log(JSON.stringify(JSON.parse(process.argv[1]).map(([e, u]) => bucket(e, u))));"


@pytest.mark.parametrize(("experiment", "unit", "expected"), VECTORS)
def test_published_vectors(experiment: str, unit: str, expected: int) -> None:
    assert bucket(experiment, unit) == expected


def test_javascript_agrees() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node on the path")
    published = re.findall(r"^```javascript\n(.*?)^```$", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE)
    pairs = [("e", f"user-{number}") for number in range(500)] + [(e, u) for e, u, _ in VECTORS]
    done = subprocess.run(
        [node, "-e", published[0] + CALL, json.dumps(pairs)], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == [bucket(*pair) for pair in pairs]


def test_variants_get_their_shares() -> None:
    counts = shares({"control": 60, "red": 30, "blue": 5})
    seen = Counter(assign("e", f"user-{number}", counts) for number in range(20_000))
    for variant, share in (("control", 0.60), ("red", 0.30), ("blue", 0.05), (None, 0.05)):
        assert abs(seen[variant] / 20_000 - share) < 4 * (share * (1 - share) / 20_000) ** 0.5


def test_experiments_are_independent() -> None:
    counts = shares({"a": 50, "b": 50})
    both = Counter(
        (assign("one", f"u{number}", counts), assign("two", f"u{number}", counts)) for number in range(20_000)
    )
    assert all(abs(count / 20_000 - 0.25) < 0.015 for count in both.values())


@given(st.text(), st.text())
def test_the_same_unit_gets_the_same_variant(experiment: str, unit: str) -> None:
    counts = {"a": 2500, "b": 7500}
    assert assign(experiment, unit, counts) == assign(experiment, unit, counts)
    assert 0 <= bucket(experiment, unit) < BUCKETS


def test_growing_the_first_variant_moves_units_in_one_direction_only() -> None:
    before, after = shares({"a": 10, "b": 90}), shares({"a": 20, "b": 80})
    moves = Counter((assign("e", f"u{n}", before), assign("e", f"u{n}", after)) for n in range(5000))
    assert set(moves) == {("a", "a"), ("b", "a"), ("b", "b")}


@pytest.mark.parametrize(
    ("percents", "said"),
    [({"a": 60, "b": 50}, "add up to 110"), ({"a": -1.0}, "variant a: -1"), ({"a": 0.001}, "steps of 0.01")],
)
def test_refuses_bad_percentages(percents: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        shares(percents)
