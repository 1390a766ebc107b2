"""What one push leads to, until Kafka has it: lines per partition, and states that count only then."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

LINES_PER_RECORD = 500  # native samples, about 60 kB: compresses well, and one fault concerns few
FAULTS_TOLD = 5


@dataclass(slots=True)
class Draft:
    """Samples of one push as native JSON, by partition.

    `states` holds what stateful series will remember once the samples are in Kafka: until `commit`, a push
    that is sent again leads to the same samples again. `dropped` counts samples that are not used, by reason;
    `faults` are the first words on series that were refused, `refused` counts their samples.
    """

    partitions: int
    lines: list[list[bytes]] = field(init=False)
    states: dict[Any, Any] = field(default_factory=dict)
    samples: int = 0
    histograms: int = 0
    refused: int = 0
    faults: list[str] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lines = [[] for _ in range(self.partitions)]

    def drop(self, reason: str, count: int = 1) -> None:
        """Count samples that are not used."""
        self.dropped[reason] = self.dropped.get(reason, 0) + count

    def refuse(self, words: str, count: int) -> None:
        """Count samples of a series that is refused."""
        self.refused += count
        if len(self.faults) < FAULTS_TOLD and words not in self.faults:
            self.faults.append(words)

    def records(self) -> Iterator[tuple[int, bytes]]:
        """Partition and value of each record to write."""
        for partition, lines in enumerate(self.lines):
            for first in range(0, len(lines), LINES_PER_RECORD):
                yield partition, b"[" + b",".join(lines[first : first + LINES_PER_RECORD]) + b"]"

    def commit(self) -> None:
        """The samples are in Kafka: let the series remember."""
        for series, state in self.states.items():
            series.settled(state)
