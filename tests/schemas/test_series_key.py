"""A series' name is one and the same however its labels come."""

from hypothesis import given
from hypothesis import strategies as st

from schemas import series_key

names = st.text("abcxyz_", min_size=1, max_size=6)
labels = st.dictionaries(names, st.text(max_size=8), max_size=4)


@given(names, labels)
def test_the_order_of_labels_does_not_matter(metric: str, given_labels: dict[str, str]) -> None:
    backwards = dict(reversed(given_labels.items()))
    assert series_key(metric, given_labels) == series_key(metric, backwards)


@given(st.lists(st.tuples(names, labels), min_size=2, max_size=20))
def test_different_series_have_different_names(series: list[tuple[str, dict[str, str]]]) -> None:
    distinct = {(metric, tuple(sorted(given_labels.items()))) for metric, given_labels in series}
    assert len({series_key(metric, dict(pairs)) for metric, pairs in distinct}) == len(distinct)
