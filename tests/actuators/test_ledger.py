"""The ledger's decisions, one by one, on a real server."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from actuators import Claim, LedgerUnavailable, Pause, RedisLedger, Refused
from schemas import Command, Outcome, Rollback
from tests.actuators.commands import NEVER, act, scale
from tests.actuators.server import RedisServer


async def claim(ledger: RedisLedger, command: Command, **changes: Any) -> Claim:
    defaults: dict[str, Any] = {
        "holder": "worker-1",
        "now": command.issued_at,
        "cooldown_ms": 0,
        "lease_ms": 60_000,
        "actuator": "noop",
        "repeatable": True,
    }
    return await ledger.claim(command, **(defaults | changes))


def outcome(command: Command, status: Any = "executed", detail: str = "done") -> Outcome:
    return Outcome(
        command=command.id,
        target=command.target,
        kind=command.kind,
        status=status,
        detail=detail,
        actuator="noop",
        at=5,
        attempts=2,
    )


async def carry_out(ledger: RedisLedger, command: Command, status: Any = "executed", **changes: Any) -> Claim:
    first = await claim(ledger, command, **changes)
    if first.state in {"granted", "repeat"}:
        holder = changes.get("holder", "worker-1")
        assert await ledger.settle(command, outcome(command, status), holder=holder) is not None
    return first


def refused(answer: Claim) -> tuple[str, str]:
    assert answer.state == "refused"
    assert answer.outcome is not None
    return answer.outcome.status, answer.outcome.detail


async def test_a_first_command_is_granted_and_its_outcome_kept(ledger: RedisLedger) -> None:
    command = scale(1)
    assert await ledger.outcome(command) is None
    assert (await carry_out(ledger, command, source="commands:0:7")).state == "granted"
    again = await claim(ledger, command, holder="worker-2")
    assert again == Claim(state="duplicate", outcome=outcome(command), source="commands:0:7")
    assert await ledger.outcome(command) == outcome(command)


async def test_an_older_or_equal_sequence_is_fenced(ledger: RedisLedger) -> None:
    await carry_out(ledger, scale(12))
    assert refused(await claim(ledger, scale(9))) == (
        "fenced",
        "scale number 12 has acted on checkout, this is number 9",
    )
    assert refused(await claim(ledger, scale(12, id="another")))[0] == "fenced"


async def test_sequences_above_the_precision_of_a_double_are_compared_exactly(ledger: RedisLedger) -> None:
    high = 2**60
    await carry_out(ledger, scale(high, issued_at=1))
    assert refused(await claim(ledger, scale(high - 1, issued_at=1)))[0] == "fenced"
    assert (await claim(ledger, scale(high + 1, issued_at=1))).state == "granted"


@pytest.mark.parametrize("sequence", [-1, 10**20])
async def test_a_sequence_that_cannot_be_compared_is_refused(ledger: RedisLedger, sequence: int) -> None:
    with pytest.raises(Refused, match="not in"):
        await claim(ledger, scale(sequence, issued_at=1))


async def test_kinds_and_targets_are_lanes_of_their_own(ledger: RedisLedger) -> None:
    await carry_out(ledger, scale(12))
    assert (await claim(ledger, act(Rollback(release="v2", to=None), sequence=3))).state == "granted"
    assert (await claim(ledger, scale(2, id="other-target", target="search"))).state == "granted"


async def test_a_command_is_expired_from_its_expiry_on(ledger: RedisLedger) -> None:
    assert (await claim(ledger, scale(1, expires_at=100), now=99)).state == "granted"
    late = scale(1, id="late", target="search", expires_at=100)
    assert refused(await claim(ledger, late, now=100)) == ("expired", "expired at 100, now is 100")


async def test_cool_down_compares_issue_times(ledger: RedisLedger) -> None:
    await carry_out(ledger, scale(1, issued_at=1_700_000_000_000))
    early = await claim(
        ledger, scale(2, issued_at=1_700_000_029_999), cooldown_ms=30_000, now=1_900_000_000_000
    )
    assert refused(early) == (
        "cooling-down",
        "issued at 1700000029999, less than 30000 ms after the last scale, issued at 1700000000000",
    )
    assert (await claim(ledger, scale(3, issued_at=1_700_000_030_000), cooldown_ms=30_000)).state == "granted"


async def test_what_failed_starts_no_cool_down_but_still_fences(ledger: RedisLedger) -> None:
    await carry_out(ledger, scale(1, issued_at=1000))
    await carry_out(ledger, scale(5, issued_at=40_000), "failed")
    assert (await carry_out(ledger, scale(6, issued_at=41_000), cooldown_ms=30_000)).state == "granted"
    assert refused(await claim(ledger, scale(4, issued_at=90_000)))[0] == "fenced"


async def test_the_first_command_that_failed_leaves_no_cool_down(ledger: RedisLedger) -> None:
    await carry_out(ledger, scale(1, issued_at=1000), "failed")
    assert (await claim(ledger, scale(2, issued_at=1001), cooldown_ms=30_000)).state == "granted"


async def test_a_pause_stops_its_target_from_the_next_claim_on(ledger: RedisLedger) -> None:
    await ledger.pause("checkout", by="ana", reason="black friday", at=7)
    assert refused(await claim(ledger, scale(1))) == ("paused", "checkout is paused by ana: black friday")
    assert (await claim(ledger, scale(1, id="elsewhere", target="search"))).state == "granted"
    assert await ledger.resume("checkout")
    assert not await ledger.resume("checkout")
    assert (await claim(ledger, scale(2))).state == "granted"


async def test_the_global_pause_stops_everything(ledger: RedisLedger) -> None:
    await ledger.pause(None, by="ana", reason="incident 12", at=7)
    await ledger.pause("checkout", by="ben", reason="mine", at=8)
    assert refused(await claim(ledger, scale(1)))[1] == "everything is paused by ana: incident 12"
    assert await ledger.pauses() == [
        Pause(target=None, by="ana", reason="incident 12", at=7),
        Pause(target="checkout", by="ben", reason="mine", at=8),
    ]
    assert await ledger.resume(None)
    assert refused(await claim(ledger, scale(2)))[1] == "checkout is paused by ben: mine"


async def test_a_target_called_all_is_not_everything(ledger: RedisLedger) -> None:
    await ledger.pause("all", by="ana", reason="x", at=7)
    assert (await claim(ledger, scale(1))).state == "granted"


async def test_a_refusal_is_the_first_outcome_for_good(ledger: RedisLedger) -> None:
    await ledger.pause("checkout", by="ana", reason="x", at=7)
    first = await claim(ledger, scale(1))
    await ledger.resume("checkout")
    again = await claim(ledger, scale(1), holder="worker-2")
    assert again.state == "duplicate"
    assert again.outcome == first.outcome


async def test_a_lane_is_busy_while_another_command_acts(ledger: RedisLedger) -> None:
    await claim(ledger, scale(1))
    assert (await claim(ledger, scale(2), holder="worker-2")).state == "busy"
    assert (await claim(ledger, scale(1), holder="worker-2")).state == "busy"
    await ledger.settle(scale(1), outcome(scale(1)), holder="worker-1")
    assert (await claim(ledger, scale(2), holder="worker-2")).state == "granted"


async def test_a_claim_whose_answer_was_lost_is_granted_again_to_the_same_token(ledger: RedisLedger) -> None:
    assert (await claim(ledger, scale(1))).state == "granted"
    assert (await claim(ledger, scale(1))).state == "granted"
    await ledger.pause("checkout", by="ana", reason="x", at=7)
    assert (await claim(ledger, scale(2, target="checkout", id="b"))).state == "refused"
    assert (await claim(ledger, scale(2, target="checkout", id="b"))).state == "refused"


async def interrupted(ledger: RedisLedger, command: Command) -> None:
    """Leave `command` as a worker that died while it acted does."""
    assert (await claim(ledger, command, holder="dead", lease_ms=1)).state == "granted"
    probe = scale(10**6, id=f"probe-{command.id}", target=command.target)  # expired below: it leaves no trace
    # The lease lapses by the server's own clock.
    while (await claim(ledger, probe, holder="probe", now=NEVER)).state == "busy":
        await asyncio.sleep(0)


async def test_an_interrupted_command_is_repeated_where_that_is_harmless(ledger: RedisLedger) -> None:
    await interrupted(ledger, scale(1))
    assert (await claim(ledger, scale(1), cooldown_ms=60_000)).state == "repeat"
    assert await ledger.settle(scale(1), outcome(scale(1)), holder="dead") is None
    assert await ledger.settle(scale(1), outcome(scale(1)), holder="worker-1") == outcome(scale(1))


async def test_an_interrupted_command_that_may_not_be_repeated_is_unknown(ledger: RedisLedger) -> None:
    await interrupted(ledger, scale(1))
    status, detail = refused(await claim(ledger, scale(1), repeatable=False))
    assert status == "unknown"
    assert detail.endswith("not repeated: noop cannot repeat a command safely")


async def test_an_interrupted_command_is_not_repeated_after_a_newer_one(ledger: RedisLedger) -> None:
    await interrupted(ledger, scale(1))
    await carry_out(ledger, scale(2))
    assert refused(await claim(ledger, scale(1))) == (
        "unknown",
        "interrupted between acting and reporting; not repeated: a newer command has acted since",
    )


async def test_an_interrupted_command_is_not_repeated_when_expired_or_paused(ledger: RedisLedger) -> None:
    await interrupted(ledger, scale(1, expires_at=9000))
    assert "it has expired since" in refused(await claim(ledger, scale(1, expires_at=9000), now=9000))[1]
    await interrupted(ledger, scale(2))
    await ledger.pause(None, by="ana", reason="stop", at=7)
    assert refused(await claim(ledger, scale(2)))[0] == "unknown"


async def test_a_lease_is_renewed_by_its_holder_only(ledger: RedisLedger) -> None:
    await claim(ledger, scale(1))
    assert await ledger.renew(scale(1), holder="worker-1", lease_ms=60_000)
    assert not await ledger.renew(scale(1), holder="worker-2", lease_ms=60_000)
    await interrupted(ledger, scale(1, id="b", target="search"))
    assert await ledger.renew(scale(1, id="b", target="search"), holder="dead", lease_ms=60_000)
    await interrupted(ledger, scale(1, id="c", target="cart"))
    assert (await claim(ledger, scale(1, id="c", target="cart"))).state == "repeat"
    assert not await ledger.renew(scale(1, id="c", target="cart"), holder="dead", lease_ms=60_000)


async def test_settling_twice_keeps_the_first_outcome(ledger: RedisLedger) -> None:
    await claim(ledger, scale(1))
    first = await ledger.settle(scale(1), outcome(scale(1)), holder="worker-1")
    again = await ledger.settle(scale(1), outcome(scale(1), "failed", "later"), holder="worker-1")
    assert first == again == outcome(scale(1))


@settings(max_examples=60, deadline=None)
@given(
    sequences=st.lists(st.integers(0, 30), min_size=1, max_size=25),
    statuses=st.lists(st.sampled_from(["executed", "failed"]), min_size=25, max_size=25),
)
def test_granted_sequences_only_grow(new_ledger: Any, sequences: list[int], statuses: list[str]) -> None:
    async def run() -> list[int]:
        ledger = new_ledger()
        granted = []
        for number, (sequence, status) in enumerate(zip(sequences, statuses, strict=False)):
            command = scale(sequence, id=f"{number}")
            if (await carry_out(ledger, command, status)).state == "granted":
                granted.append(sequence)
        await ledger.close()
        return granted

    granted = asyncio.run(run())
    running_maxima = [s for i, s in enumerate(sequences) if s > max(sequences[:i], default=-1)]
    assert granted == running_maxima


async def test_a_server_that_is_not_there_is_unavailable_with_the_reason(own_server: RedisServer) -> None:
    ledger = RedisLedger.from_url(own_server.url, timeout_s=0.5)
    await ledger.ping()
    own_server.kill()
    with pytest.raises(LedgerUnavailable, match="does not answer"):
        await claim(ledger, scale(1))
    own_server.start()
    assert (await claim(ledger, scale(1))).state == "granted"
    own_server.freeze()
    with pytest.raises(LedgerUnavailable, match=r"[Tt]imeout"):
        await ledger.ping()
    own_server.thaw()
    await ledger.close()
    await ledger.close()


async def test_settings_that_may_forget_are_named_with_their_remedy(own_server: RedisServer) -> None:
    ledger = RedisLedger.from_url(own_server.url)
    assert await ledger.concerns() == []
    await ledger._redis.config_set("appendfsync", "everysec")
    assert await ledger.concerns() == [
        "appendfsync is 'everysec': a claim may be lost; set appendfsync to 'always'"
    ]
    await ledger.close()


def documented_acl() -> list[str]:
    page = Path(__file__).parents[2] / "docs" / "actuation.md"
    (line,) = [line for line in page.read_text().splitlines() if line.startswith("ACL SETUSER")]
    return line.replace("PASSWORD", "s3cret").split()


async def as_tidegate(server: RedisServer, acl: list[str]) -> RedisLedger:
    async with Redis(port=server.port) as root:
        await root.execute_command("ACL", "DELUSER", "tidegate")
        await root.execute_command(*acl)
        await root.script_flush()
    return RedisLedger.from_url(f"redis://tidegate:s3cret@127.0.0.1:{server.port}/0")


async def use_everything(ledger: RedisLedger, sequence: int) -> None:
    await ledger.ping()
    await carry_out(ledger, scale(sequence), "failed")
    await claim(ledger, scale(sequence + 1))
    assert await ledger.renew(scale(sequence + 1), holder="worker-1", lease_ms=1000)
    await ledger.settle(scale(sequence + 1), outcome(scale(sequence + 1)), holder="worker-1")
    await ledger.outcome(scale(sequence))
    await ledger.pause("x", by="ana", reason="x", at=1)
    assert await ledger.pauses()
    await ledger.resume("x")


async def test_the_documented_acl_is_enough(own_server: RedisServer) -> None:
    ledger = await as_tidegate(own_server, documented_acl())
    await use_everything(ledger, 1)
    (concern,) = await ledger.concerns()
    assert "does not tell its settings" in concern
    await ledger.close()


async def test_each_command_of_the_documented_acl_is_needed(own_server: RedisServer) -> None:
    acl = documented_acl()
    rights = [word for word in acl if word.startswith("+")]
    assert len(rights) >= 10
    for number, right in enumerate(rights):
        ledger = await as_tidegate(own_server, [word for word in acl if word != right])
        with pytest.raises(LedgerUnavailable, match=r"refuses: .*(permission|can't run)"):
            await use_everything(ledger, number * 10 + 1)
        await ledger.close()


async def test_another_namespace_is_out_of_reach_under_that_acl(own_server: RedisServer) -> None:
    await (await as_tidegate(own_server, documented_acl())).close()
    other = RedisLedger.from_url(f"redis://tidegate:s3cret@127.0.0.1:{own_server.port}/0", namespace="other")
    with pytest.raises(LedgerUnavailable, match="refuses"):
        await claim(other, scale(1))
    await other.close()
