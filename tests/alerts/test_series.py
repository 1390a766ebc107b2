"""What one partition of series does: level shifts, silence, and feedback, over replays."""

from collections.abc import Sequence

import numpy as np
import pytest

from detectors.registry import make_bank
from schemas import Alert, Feedback, decode
from schemas.control import Control, Tick
from schemas.event import Side, Verdict
from streams.config import AlertConfig, AlertRule
from streams.detection import DetectPartition
from streams.ingest import Limits
from streams.output import Output
from streams.partition import COLD
from streams.targets import Roles
from tests.streams.records import MINUTE, START, FakeRecord, message, sample

NOW = START + 100_000 * MINUTE
DAY = 1440 * MINUTE


def partition(
    config: AlertConfig | None = None, evict_after_ms: int = 1 << 62, model: str = "ewma-z"
) -> DetectPartition:
    return DetectPartition(
        0,
        bank=make_bank(model, alarms_per_series_day=1 / 7),
        alerts=config or AlertConfig(),
        roles=Roles([]),
        limits=Limits(),
        block_rows=4,
        evict_after_ms=evict_after_ms,
    )


def restored(stored: dict[bytes, bytes], config: AlertConfig | None = None) -> DetectPartition:
    part = partition(config)
    part.restore({k: data for k, data in stored.items() if not k.startswith(COLD)}, stored.get)
    return part


def saved(part: DetectPartition) -> dict[bytes, bytes]:
    return {key: data for key, data in part.snapshot() if data is not None}


def wave(values: Sequence[float], host: str = "a", offset: int = 0, metric: str = "m") -> list[FakeRecord]:
    """One record a minute."""
    return [
        sample(offset + i, START + (offset + i) * MINUTE, value, metric, host=host)
        for i, value in enumerate(values)
    ]


def noise(count: int, seed: int = 1) -> list[float]:
    return (100.0 + np.random.default_rng(seed).normal(0.0, 2.0, count)).tolist()


def changes(outputs: list[Output]) -> list[tuple[str, str, int]]:
    """Series, state and minute of each change."""
    alerts = [decode(each.value, Alert) for each in outputs if each.topic == "changes"]
    return [(a.series, a.state, (a.changed_at - START) // MINUTE) for a in alerts]


def anomalies(outputs: list[Output]) -> int:
    return sum(each.topic == "anomalies" for each in outputs)


def word(number: int, minute: int, verdict: Verdict, host: str = "a", side: Side | None = None) -> FakeRecord:
    told = Feedback(series=f'm{{host="{host}"}}', ts=START + minute * MINUTE, verdict=verdict, side=side)
    return message("detect-control", number, Control(partition=0, offset=number, event=told))


@pytest.mark.parametrize("batch", [1, 7, 3000])
def test_after_a_level_shift_the_alert_resolves_and_does_not_fire_for_each_batch(batch: int) -> None:
    part = partition(AlertConfig(resolve_after_s=900), model="tidegate")
    records = wave(noise(1000) + [value + 60.0 for value in noise(2000, 2)])
    outputs: list[Output] = []
    for first in range(0, len(records), batch):
        outputs += part.process(records[first : first + batch], NOW)
    after = [(state, minute) for _, state, minute in changes(outputs) if minute >= 1000]
    assert after[0] == ("firing", 1000)
    assert after[1][0] == "resolved"
    assert after[1][1] < 1000 + 120
    # Of two thousand samples on the new level; the hours of the day learn it one by one.
    assert [state for state, _ in after].count("firing") <= 3
    assert after[-1][0] == "resolved"


def test_a_false_alarm_raises_its_side_of_its_series_and_its_metric() -> None:
    part = partition()
    spike = noise(600)
    spike[500] = 108.5
    both = [*wave(spike), *wave(noise(600, 3), "b", 600)]
    found = part.process(both, NOW)
    assert ('m{host="a"}', "firing", 500) in changes(found)
    part.process(wave(noise(1), "c", 1300, metric="other"), NOW)
    assert part.place([word(0, 500, "false-alarm")], 0) == []
    part.due()
    own, near, other = (part.bank.tuning(row) for row in range(3))
    assert own[0] == 0.0
    assert own[1] > near[1] > 0.0
    assert other == (0.0, 0.0)
    again = wave([*noise(100, 5), spike[500]], "a", 2000)
    untold = partition()
    untold.process(both, NOW)
    assert anomalies(untold.process(again, NOW)) > anomalies(part.process(again, NOW))


def test_a_word_counts_once_and_a_later_one_takes_its_place() -> None:
    part = partition()
    spike = noise(600)
    spike[500] = 130.0
    part.process(wave(spike), NOW)
    for number in range(3):  # said again, and passed on again by a replay
        part.place([word(number, 500, "false-alarm"), word(number, 500, "false-alarm")], 0)
        part.due()
    once = part.bank.tuning(0)
    assert once[1] > 0.0
    assert part.counts.feedback == {"false-alarm": 1}
    part.place([word(3, 500, "real")], 0)
    part.due()
    assert part.bank.tuning(0)[1] < once[1]


def test_what_was_missed_lowers_the_threshold() -> None:
    part = partition()
    part.process(wave(noise(600)), NOW)
    part.place([word(0, 300, "missed", side="below")], 0)
    part.due()
    assert part.bank.tuning(0)[0] < 0.0
    assert part.bank.tuning(0)[1] == 0.0


def test_a_series_that_comes_later_hears_what_was_said_of_its_metric() -> None:
    part = partition()
    part.process(wave(noise(100)), NOW)
    part.place([word(0, 50, "false-alarm", side="above")], 0)
    part.due()
    part.process(wave(noise(1), "late", 200), NOW)
    assert part.bank.tuning(1) == part.bank.tuning(0) != (0.0, 0.0)


@pytest.mark.parametrize("replayed_from", [0, 300, 500])
def test_feedback_counts_at_its_place_after_a_crash(replayed_from: int) -> None:
    """A replay that begins before the place of the feedback hears it at the same sample."""
    spike = noise(900)
    spike[400] = spike[700] = 125.0
    records = wave(spike)
    calm = partition()
    told = calm.process(records[:500], NOW)
    calm.place([word(0, 400, "false-alarm")], 500)
    told += calm.process(records[500:], NOW)

    first = partition()
    first.process(records[:replayed_from], NOW)
    stored = saved(first)
    first.process(records[replayed_from:500], NOW)
    first.place([word(0, 400, "false-alarm")], 500)
    stored |= {key: data for key, data in first.steering.snapshot() if data is not None}  # durable at once
    first.process(records[500:600], NOW)  # and then it is killed

    second = restored(stored)
    second.resume(replayed_from)
    # The control is read again as well.
    second.place([word(0, 400, "false-alarm")], 900)
    second.process(records[replayed_from:], NOW)
    assert saved(second)[b"0"] == saved(calm)[b"0"]
    assert second.bank.tuning(0) == calm.bank.tuning(0) != (0.0, 0.0)


def test_silence_is_told_at_the_same_time_after_a_crash() -> None:
    config = AlertConfig(rules=(AlertRule(matchers=("host=a",), no_data_s=300),))
    a, b = wave(noise(20)), [sample(100 + i, START + i * MINUTE, 1.0, host="b") for i in range(60)]
    calm = partition(config)
    expected = changes(calm.process([*a, *b], NOW))
    assert expected == [('m{host="a"}', "firing", 24)]
    first = partition(config)
    first.process(a, NOW)
    stored = saved(first)
    first.process(b[:40], NOW)
    second = restored(stored, config)
    assert changes(second.process([*a, *b], NOW)) == expected
    back = wave([1.0], "a", 200)
    assert changes(second.process(back, NOW)) == [('m{host="a"}', "resolved", 200)]


def test_time_alone_tells_a_silence_once() -> None:
    config = AlertConfig(no_data_s=300)
    part = partition(config)
    part.process(wave(noise(20)), NOW)
    assert part.tick(START + 23 * MINUTE) == []
    (asked,) = part.tick(START + 30 * MINUTE)
    assert (asked.topic, asked.partition) == ("detect-control", 0)
    assert part.tick(START + 30 * MINUTE + 1) == []  # asked already
    part.place([FakeRecord(asked.value, 0, topic="detect-control")], 20)
    assert changes(part.due()) == [('m{host="a"}', "firing", 24)]
    assert part.tick(START + 50 * MINUTE) == []
    later = restored(saved(part), config)
    later.resume(20)
    assert changes(later.tick(START + 51 * MINUTE)) == []


def test_a_sample_from_the_future_makes_no_other_series_silent() -> None:
    part = partition(AlertConfig(no_data_s=300))
    ahead = sample(30, START + 19 * MINUTE + 9 * MINUTE, 1.0, host="clock-ahead")
    stamped = FakeRecord(ahead.value, 30, timestamp=START + 19 * MINUTE)
    assert changes(part.process([*wave(noise(20)), stamped], NOW)) == []


def test_the_alert_of_a_series_that_is_gone_resolves() -> None:
    part = partition(evict_after_ms=DAY)
    values = noise(600)
    values[-1] = 200.0
    assert changes(part.process(wave(values), NOW))[-1] == ('m{host="a"}', "firing", 599)
    (asked,) = part.tick(START + 599 * MINUTE + DAY)
    assert decode(asked.value, Tick).now == START + 599 * MINUTE + DAY
    part.place([FakeRecord(asked.value, 0, topic="detect-control")], 600)
    assert changes(part.due()) == [('m{host="a"}', "resolved", 599 + 1440)]
