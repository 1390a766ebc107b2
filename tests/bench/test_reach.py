"""The table of `make bench`: which bounds count as met."""

import pytest

from bench.reach import Row, rows


@pytest.mark.parametrize(
    ("figure", "upwards", "met"),
    [
        (0.71, True, "stretch"), (0.7, True, "stretch"), (0.5, True, "yes"), (0.49, True, "no"),
        (None, True, "-"), (0.71, False, "no"), (0.7, False, "yes"), (0.5, False, "stretch"),
    ],
)  # fmt: skip
def test_bounds(figure: float | None, upwards: bool, met: str) -> None:
    least, stretch = (0.5, 0.7) if upwards else (0.7, 0.5)
    assert Row("what", "x", figure, least, stretch, "", upwards).met == met


def test_the_opponent_is_the_fastest_that_could_be_measured() -> None:
    figures = {
        "records_per_s": 1000,
        "limit_records_per_s": 400,
        "share_of_limit": 2.5,
        "peers": {
            "kafka_streams": 100,
            "kafka_streams_record_cache": 200,
            "kafka_streams_without_changelog": 500,
            "faust": 5,
            "bytewax": 20,
        },
        "batched": {"times_single": 4.0, "samples_per_s": 4000},
        "growth": {"1000": {"share": 1.0, "samples_per_s": 1000}, "9": {"share": 0.8, "samples_per_s": 800}},
        "workers": {"skipped": "one core"},
    }
    table = {row.what: row for row in rows({"throughput": figures})}
    java = table["against Kafka Streams, changelog on"]
    assert (java.figure, java.stretch, java.met) == (5.0, 2.5, "stretch")
    assert table["against Faust, Quix Streams, Bytewax"].figure == 50.0
    assert table["cost growth"].met == "yes"
    assert table["two workers on two cores against one"].met == "-"
    figures["peers"] = {}
    table = {row.what: row for row in rows({"throughput": figures})}
    assert table["against Kafka Streams, changelog on"].met == "-"
    assert table["against Faust, Quix Streams, Bytewax"].met == "-"
