"""In shadow mode the worker's hands change nothing, whatever the platform."""

from schemas import Command, Scale
from streams.config import parse
from streams.worker import Worker, wall_clock
from tests.actuators.receiver import answer, receiving

TOML = """
[kafka]
brokers = ["127.0.0.1:1"]

[ledger]
url = "{redis}"
namespace = "{prefix}"

[actuators.platform]
kind = "webhook"
params = {{ url = "{url}" }}

[[targets]]
name = "watched"
load = "rps"
replicas = "pods"
actuator = "platform"
mode = "shadow"
scale = {{ capacity = 10.0 }}

[[targets]]
name = "trusted"
load = "rps"
actuator = "platform"
scale = {{ capacity = 10.0 }}
"""


def _scale(target: str, now: int) -> Command:
    return Command(
        id=f"{target}:scale:{now}", target=target, sequence=now, action=Scale(replicas=5, previous=4),
        reasons=["test"], issued_at=now, expires_at=now + 60_000,
    )  # fmt: skip


async def test_a_shadow_s_command_passes_the_ledger_and_ends_as_a_dry_run(
    redis_url: str, prefix: str
) -> None:
    async with receiving(answer(200)) as platform:
        config = parse(TOML.format(redis=redis_url, prefix=prefix, url=platform.url))
        worker = Worker(config, environ={}, roles=("act",))
        hands, now = worker.pipeline.hands, wall_clock()
        assert hands is not None
        try:
            watched = await hands.carry_out(_scale("watched", now))
            assert (watched.status, platform.requests) == ("dry-run", [])
            assert "would scale watched to 5" in watched.detail
            again = await hands.carry_out(_scale("watched", now))
            assert again.status == "duplicate"
            trusted = await hands.carry_out(_scale("trusted", now))
            assert (trusted.status, len(platform.requests)) == ("executed", 1)
        finally:
            await worker.stop()
