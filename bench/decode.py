"""What decoding costs: records to columns, beside msgspec decoding the same bytes in the same run.

`python -m bench.decode [SERIES ...]` prints, as JSON, nanoseconds per sample (best and median of the rounds,
the two taking turns), for one-sample records and for lists of 100, and the memory of the indexes per series.
"""

import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import msgspec
from aiokafka.structs import ConsumerRecord

from bench.limit import NativeSample
from streams.ingest import Decoder, Limits, SeriesIndex, compile_kernels

NOW_MS = 1_700_000_000_000
RECORDS_PER_POLL = 8192
SAMPLES_PER_LIST = 100
ROUNDS = 15
LEAST_SAMPLES = 200_000


def values(count: int, series: int, per_record: int, random: Random) -> Iterator[bytes]:
    """Values of records with `per_record` samples each; every series comes once before any comes again."""
    order = list(range(series))
    texts = []
    for number in range(count):
        if number % series == 0:
            random.shuffle(order)
        row = order[number % series]
        labels = f'{{"service":"checkout-{row}","zone":"eu-west-1{"abc"[row % 3]}"}}'
        value = round(random.gauss(100.0, 20.0), random.choice((1, 3, 12)))
        texts.append(
            f'{{"metric":"http_requests_per_second","labels":{labels},"ts":{NOW_MS + number // series},'
            f'"value":{value!r}}}'
        )
        if len(texts) == per_record:
            yield (texts[0] if per_record == 1 else f"[{','.join(texts)}]").encode()
            texts.clear()


def _record(offset: int, value: bytes) -> ConsumerRecord[bytes, bytes]:
    return ConsumerRecord("metrics", 0, offset, NOW_MS, 0, None, value, None, -1, len(value), ())


def measure(series: int, per_record: int) -> dict[str, Any]:
    """Figures of one shape of input."""
    count = max(LEAST_SAMPLES, series)
    records = [_record(i, value) for i, value in enumerate(values(count, series, per_record, Random(1)))]
    size = max(1, RECORDS_PER_POLL // per_record)
    polls = [records[i : i + size] for i in range(0, len(records), size)]
    index = SeriesIndex()
    decoder = Decoder(index, Limits(max_series=2 * series))
    compile_kernels()
    gc.collect()
    gc.freeze()  # no worker holds the records of all polls, which the collector would walk through
    began = time.perf_counter()
    fresh = 0
    for poll in polls:
        fresh += len(decoder.decode(poll, NOW_MS).columns.row)
        if fresh >= series:
            break
    first = (time.perf_counter() - began) / fresh
    for poll in polls:
        decoder.decode(poll, NOW_MS)
    kind = NativeSample if per_record == 1 else list[NativeSample]
    decode = msgspec.json.Decoder(kind).decode

    def tidegate(poll: list[Any]) -> int:
        return len(decoder.decode(poll, NOW_MS).columns.row)

    def peer(poll: list[Any]) -> int:
        for record in poll:
            decode(record.value)
        return len(poll) * per_record

    rounds = [[_once(polls, run, count) for run in (tidegate, peer)] for _ in range(ROUNDS)]
    gc.unfreeze()
    ours, theirs = zip(*rounds, strict=True)
    return {
        "series": series,
        "samples_per_record": per_record,
        "samples": count,
        "bytes_per_sample": round(sum(len(record.value) for record in records) / count, 1),
        "tidegate_ns": _figures(ours),
        "msgspec_ns": _figures(theirs),
        "first_sight_ns": round(first * 1e9),
        "index_bytes_per_series": round(index.nbytes / series),
        "prefix_bytes_per_series": round(decoder.nbytes / series),
    }


def _once(polls: list[list[Any]], run: Callable[[list[Any]], int], count: int) -> float:
    gc.collect()
    gc.disable()
    began = time.perf_counter()
    seen = sum(run(poll) for poll in polls)
    took = time.perf_counter() - began
    gc.enable()
    assert seen == count, f"{seen} of {count} samples were read"
    return took / count * 1e9


def _figures(rounds: tuple[float, ...]) -> dict[str, float]:
    return {"best": round(min(rounds), 1), "median": round(statistics.median(rounds), 1)}


def main() -> None:
    """Measure and print the figures as JSON."""
    sizes = [int(text) for text in sys.argv[1:]] or [1_000, 100_000]
    figures = [measure(series, per_record) for series in sizes for per_record in (1, SAMPLES_PER_LIST)]
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
