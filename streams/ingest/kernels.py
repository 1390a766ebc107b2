"""Compiling ahead: the kernels take seconds to compile the first time, which no poll should wait for."""

from dataclasses import dataclass

import numpy as np

from streams.ingest.admission import NEVER, admit
from streams.ingest.decode import Decoder
from streams.ingest.limits import Limits
from streams.ingest.record_set import read_batches
from streams.ingest.series import SeriesIndex


@dataclass(frozen=True, slots=True)
class _Record:
    value: bytes
    timestamp: int = 0
    headers: tuple[tuple[str, bytes], ...] = ()


def compile_kernels() -> None:
    """Compile all kernels of ingest, or load them from Numba's cache; call it before joining a group."""
    # One prefix at most, so that the second series makes the table relink as well.
    decoder = Decoder(SeriesIndex(), Limits(max_prefixes=1))
    records = [_Record(b'{"metric":"%s","ts":0,"value":0}' % name) for name in (b"a", b"b")]
    for _ in range(2):
        batch = decoder.decode(records, 0)
    decoder.decode(read_batches("", 0, b"", 0, check_crcs=False).records, 0)
    admit(batch.columns.row, batch.columns.time, batch.columns.value, np.full(2, NEVER))
    index = SeriesIndex()
    index.restore((row, str(row)) for row in range(1000))
