"""The index keeps rows and keys together through growth, release, reuse and restore."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from schemas import SchemaError, series_key
from streams.ingest import SeriesIndex
from streams.ingest.labels import parse_key

name = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters='{}="\\,'), min_size=1, max_size=8
)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(name, st.dictionaries(name, text, max_size=4))
def test_a_key_is_read_back_to_its_parts(metric: str, labels: dict[str, str]) -> None:
    assert parse_key(series_key(metric, labels)) == (metric, labels)


@pytest.mark.parametrize("key", ["up{", "up{}x", 'up{a="b"', 'up{a="b",', "up{a=b}"])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(SchemaError, match="series key"):
        parse_key(key)


def test_rows_survive_growth_and_are_found_again() -> None:
    index = SeriesIndex()
    for i in range(20_000):
        assert index.row("m", {"i": str(i)}) == i
    assert [index.find("m", {"i": str(i)}) for i in range(20_000)] == list(range(20_000))
    assert index.find("m", {"i": "20000"}) == -1
    assert len(index) == index.extent == 20_000
    assert index.nbytes < 120 * 20_000


def test_released_rows_are_reused_and_their_generation_tells() -> None:
    index = SeriesIndex()
    a, b = index.row("a", {}), index.row("b", {})
    before = int(index.generation[a])
    index.release(a)
    assert index.find("a", {}) == -1
    with pytest.raises(IndexError, match="no series has row 0"):
        index.key(a)
    with pytest.raises(IndexError):
        index.release(a)
    assert index.row("c", {}) == a
    assert (index.key(a), index.key(b)) == ("c", "b")
    assert index.generation[a] == before + 1


def test_restore_gives_each_series_its_row_and_fills_the_gaps_later() -> None:
    index = SeriesIndex()
    index.restore([(4, "e"), (1, 'b{x="1"}')])
    assert list(index) == [1, 4]
    assert (index.row("b", {"x": "1"}), index.row("e", {})) == (1, 4)
    assert [index.row(metric, {}) for metric in "pqrs"] == [0, 2, 3, 5]
    with pytest.raises(ValueError, match="empty index"):
        index.restore([])


@pytest.mark.parametrize("entries", [[(0, "a"), (0, "b")], [(0, "a"), (1, "a")], [(-1, "a")]])
def test_restore_refuses_what_contradicts_itself(entries: list[tuple[int, str]]) -> None:
    with pytest.raises(ValueError, match="twice"):
        SeriesIndex().restore(entries)


class IndexAgainstDict(RuleBasedStateMachine):
    """Random additions and releases, with keys long enough that the arena is compacted."""

    def __init__(self) -> None:
        super().__init__()
        self.index = SeriesIndex()
        self.rows: dict[str, int] = {}

    @rule(i=st.integers(0, 40), size=st.sampled_from([1, 9000]))
    def add(self, i: int, size: int) -> None:
        labels = {"v": chr(97 + i % 26) * size, "i": str(i)}
        row = self.index.row("m", labels)
        assert self.rows.setdefault(series_key("m", labels), row) == row

    @precondition(lambda self: self.rows)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.rows)))
        self.index.release(self.rows.pop(key))

    @invariant()
    def agrees(self) -> None:
        assert {self.index.key(row): row for row in self.index} == self.rows
        assert len(self.index) == len(self.rows)
        for key, row in self.rows.items():
            assert self.index.find(*parse_key(key)) == row


TestIndexAgainstDict = IndexAgainstDict.TestCase
