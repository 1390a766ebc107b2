"""Docker Compose: the command lines that are run, and what their failures mean. No engine runs here."""

from pathlib import Path

import pytest

from actuators import Refused, Unavailable, UnknownTarget, make_actuator
from tests.actuators.commands import scale
from tests.actuators.compose_program import Program


async def test_only_the_count_of_one_service_changes(tmp_path: Path) -> None:
    program = Program(tmp_path, {"web": 2, "db": 1})
    params = {
        "program": program.words, "files": ["compose.yml", "compose.prod.yml"], "project": "shop",
        "services": {"checkout": "web"},
    }  # fmt: skip
    made = make_actuator("compose", params, env=program.env)
    applied = await made.apply(scale(1, 4))
    assert applied.detail == "web: 2 -> 4 containers"
    assert program.counts() == {"web": 4, "db": 1}
    common = ["--file", "compose.yml", "--file", "compose.prod.yml", "--project-name", "shop"]
    assert program.calls() == [
        [*common, "config", "--services"],
        [*common, "ps", "--quiet", "web"],
        [*common, "up", "--detach", "--no-deps", "--no-recreate", "--scale", "web=4", "web"],
    ]
    assert not (await made.apply(scale(2, 4))).changed
    assert program.changes() == 1


async def test_failures_are_told_apart(tmp_path: Path) -> None:
    program = Program(tmp_path, {"web": 2})
    made = make_actuator("compose", {"program": program.words}, env=program.env)
    with pytest.raises(UnknownTarget, match="no service 'checkout' in the Compose project; there are web"):
        await made.apply(scale(1, 4))
    with pytest.raises(UnknownTarget, match="cannot be the name"):
        await made.apply(scale(1, 4, target="--privileged"))
    away = program.env | {"SAYS": "Cannot connect to the Docker daemon at unix:///var/run/docker.sock."}
    with pytest.raises(Unavailable, match="Cannot connect to the Docker daemon"):
        await make_actuator("compose", {"program": program.words}, env=away).replicas("web")
    wrong = program.env | {"SAYS": "no configuration file provided: not found"}
    with pytest.raises(Refused, match="exit code 1: no configuration file"):
        await make_actuator("compose", {"program": program.words}, env=wrong).replicas("web")
    with pytest.raises(Refused, match="cannot run no-such-docker"):
        await make_actuator("compose", {"program": ["no-such-docker"]}, env=program.env).replicas("web")
