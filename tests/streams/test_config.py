"""The configuration file: defaults, bounds, and errors that say what to do."""

from pathlib import Path

import pytest

from streams.config import Config, ConfigError, parse, read

FULL = """
[kafka]
brokers = ["10.0.0.1:9092", "10.0.0.2:9092"]
partitions = 8

[detector]
model = "ewma-z"
alarms_per_series_day = 0.5

[actuators.platform]
kind = "webhook"
params = { url = "https://platform.example/scale" }

[[targets]]
name = "checkout"
labels = { service = "checkout" }
actuator = "platform"
load = "http_requests_per_second"

[targets.scale]
capacity = 20.0
max = 50

[targets.release]
metrics = [{ name = "http_errors_ratio", kind = "gauge", tolerance = 0.5, margin = 1.0 }]
"""


def test_an_empty_file_is_a_whole_configuration() -> None:
    assert parse("") == Config()


def test_a_full_file_is_read() -> None:
    config = parse(FULL)
    (target,) = config.targets
    assert config.kafka.partitions == 8
    assert target.scale is not None
    assert target.scale.max == 50
    assert target.release is not None
    assert target.release.metrics[0].name == "http_errors_ratio"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[kafka]\npartition = 4", "kafka: unknown key `partition`; did you mean `partitions`?"),
        ("[kafka]\nxyzzy = 4", "kafka: unknown key `xyzzy`; known: "),
        ("[kafak]\npartitions = 4", "top level: unknown key `kafak`; did you mean `kafka`?"),
        ("[kafka]\npartitions = 0", "kafka.partitions: expected `int` >= 1"),
        ("[kafka]\npartitions = 'four'", "kafka.partitions: expected `int`, got `str`"),
        ("[[targets]]\nlabels = {}", "targets[0]: needs the key `name`"),
        ("[[targets]]\nname = 'a'\nlaod = 'x'", "targets[0]: unknown key `laod`; did you mean `load`?"),
        (
            "[[targets]]\nname = 'a'\nload = 'l'\n[targets.scale]\ncapasity = 1.0",
            "targets[0].scale: unknown key `capasity`; did you mean `capacity`?",
        ),
        ("[[targets]]\nname = 'a'\n[targets.scale]\nmax = 3", "targets.a.load: is needed to scale"),
        ("[[targets]]\nname = 'a'\n[[targets]]\nname = 'a'", "two targets are named `a`"),
        ("[[targets]]\nname = 'a'\nactuator = 'k8s'", "targets.a.actuator: no [actuators.k8s] table"),
        ("[actuators.p]\nkind = 'webhook'\nparms = {}", "unknown key `parms`; did you mean `params`?"),
        ("kafka = [", "is not TOML"),
    ],
)
def test_what_is_wrong_is_named_with_the_way_out(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(text, "tidegate.toml")
    assert str(raised.value).startswith("tidegate.toml: ")
    assert told in str(raised.value)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.toml: cannot be read"):
        read(tmp_path / "gone.toml")


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"binary\.toml: is not UTF-8"):
        read(path)
