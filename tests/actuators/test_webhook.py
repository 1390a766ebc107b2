"""The webhook against a real HTTP server that behaves well and badly."""

import logging
import random
import socket
from collections.abc import Callable
from typing import Any

import pytest

from actuators import (
    Applied,
    ConfigurationError,
    ExecutionPolicy,
    NotSupported,
    RedisLedger,
    Refused,
    Unavailable,
    UnknownTarget,
    execute,
    make_actuator,
)
from actuators.webhook import Webhook, WebhookConfig
from schemas import Command, decode
from tests.actuators.commands import scale
from tests.actuators.receiver import answer, drip, flood, hang, receiving, reset

delays: list[float] = []


@pytest.fixture(autouse=True)
def _no_delays() -> None:
    delays.clear()


async def note(delay: float) -> None:
    delays.append(delay)


def hook(url: str | None, *, env: dict[str, str] | None = None, **config: Any) -> Webhook:
    fields: dict[str, Any] = {"url": url, "timeout_s": 5.0} | config
    return Webhook(
        WebhookConfig(**fields), env=env or {}, sleep=note, rng=random.Random(3), wall=lambda: 1_700_000_000.0
    )


async def test_the_command_is_posted_under_its_id() -> None:
    async with receiving(answer(202)) as receiver:
        webhook = hook(receiver.url + "/hands/{target}/{kind}")
        applied = await webhook.apply(scale(1, target="team/checkout é"))
        await webhook.close()
    (request,) = receiver.requests
    assert request.method == "POST"
    assert request.raw_path == "/hands/team%2Fcheckout%20%C3%A9/scale"
    assert request.headers["Idempotency-Key"] == "scale-1"
    assert request.headers["Content-Type"] == "application/json"
    assert decode(receiver.bodies[0], Command) == scale(1, target="team/checkout é")
    assert applied.changed
    assert applied.attempts == 1


async def test_the_receiver_may_say_what_it_did() -> None:
    async with receiving(answer(200, '{"detail": "already at 3", "changed": false, "more": 1}')) as receiver:
        webhook = hook(receiver.url)
        applied = await webhook.apply(scale(1))
        await webhook.close()
    assert applied == Applied(detail="already at 3", changed=False, attempts=1)


@pytest.mark.parametrize("body", ["", "OK", "{not json", "[]", '{"changed": "maybe"}'])
async def test_any_2xx_is_acceptance_whatever_the_body(body: str) -> None:
    async with receiving(answer(200, body)) as receiver:
        webhook = hook(receiver.url)
        assert (await webhook.apply(scale(1))).changed
        await webhook.close()


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429, 408, 409, 425])
async def test_a_transient_answer_is_retried_under_the_same_key(status: int) -> None:
    async with receiving(answer(status), answer(status), answer(200)) as receiver:
        webhook = hook(receiver.url)
        applied = await webhook.apply(scale(1))
        await webhook.close()
    assert applied.attempts == 3
    assert {request.headers["Idempotency-Key"] for request in receiver.requests} == {"scale-1"}
    assert len(set(receiver.bodies)) == 1
    assert len(delays) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 405, 422, 302, 304, 501])
async def test_a_permanent_answer_is_not_retried(status: int) -> None:
    async with receiving(answer(status, "replicas must be below 3" if status != 304 else "")) as receiver:
        webhook = hook(receiver.url)
        with pytest.raises(Refused, match=str(status)) as caught:
            await webhook.apply(scale(1))
        await webhook.close()
    assert caught.value.attempts == 1
    assert len(receiver.requests) == 1


async def test_the_receivers_words_are_quoted_in_the_error() -> None:
    async with receiving(answer(400, "replicas must be below 3")) as receiver:
        webhook = hook(receiver.url)
        with pytest.raises(Refused, match=r"answered 400 Bad Request: 'replicas must be below 3'"):
            await webhook.apply(scale(1))
        await webhook.close()


@pytest.mark.parametrize("status", [404, 410])
async def test_not_found_is_an_unknown_target(status: int) -> None:
    async with receiving(answer(status)) as receiver:
        webhook = hook(receiver.url)
        with pytest.raises(UnknownTarget):
            await webhook.apply(scale(1))
        await webhook.close()


async def test_retries_end_and_say_how_many() -> None:
    async with receiving(answer(500, "boom")) as receiver:
        webhook = hook(receiver.url, attempts=3)
        with pytest.raises(
            Unavailable, match=r"500 Internal Server Error: 'boom', after 3 attempts"
        ) as caught:
            await webhook.apply(scale(1))
        await webhook.close()
    assert caught.value.attempts == 3
    assert len(receiver.requests) == 3


async def test_delays_grow_with_jitter_within_their_bounds() -> None:
    async with receiving(answer(500)) as receiver:
        webhook = hook(receiver.url, attempts=8, backoff_base_s=1.0, backoff_cap_s=5.0)
        with pytest.raises(Unavailable):
            await webhook.apply(scale(1))
        await webhook.close()
    bounds = [1, 2, 4, 5, 5, 5, 5]
    assert all(0 <= delay <= bound for delay, bound in zip(delays, bounds, strict=True))
    assert len(set(delays)) == len(delays)
    assert max(delays) > 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("Tue, 14 Nov 2023 22:13:32 GMT", 12.0), ("Tue, 14 Nov 2023 22:13:32 -0000", 12.0)],
)
async def test_retry_after_is_honoured(header: str, seconds: float) -> None:
    async with receiving(answer(503, Retry_After=header), answer(200)) as receiver:
        webhook = hook(receiver.url)
        await webhook.apply(scale(1))
        await webhook.close()
    assert delays == [seconds]


@pytest.mark.parametrize("header", ["soon", "", "Mon, 01 Jan 2001 00:00:00 GMT"])
async def test_a_retry_after_without_meaning_leaves_the_ordinary_delay(header: str) -> None:
    async with receiving(answer(429, Retry_After=header), answer(200)) as receiver:
        webhook = hook(receiver.url, backoff_base_s=0.5)
        await webhook.apply(scale(1))
        await webhook.close()
    assert len(delays) == 1
    assert 0 <= delays[0] <= 0.5


async def test_a_receiver_that_asks_for_too_long_a_wait_is_given_up_at_once() -> None:
    async with receiving(answer(429, Retry_After="3600")) as receiver:
        webhook = hook(receiver.url)
        with pytest.raises(Unavailable, match="asks to wait 3600 s"):
            await webhook.apply(scale(1))
        await webhook.close()
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("misdeed", [hang, reset, drip])
async def test_a_lost_answer_is_retried(misdeed: Any) -> None:
    async with receiving(misdeed, answer(200)) as receiver:
        webhook = hook(receiver.url, timeout_s=0.3)
        applied = await webhook.apply(scale(1))
        await webhook.close()
    assert applied.attempts == 2
    assert len(receiver.requests) == 2


@pytest.mark.parametrize(
    ("misdeed", "words"), [(hang, "did not answer within 0.2 s"), (reset, "broke the connection")]
)
async def test_a_lost_answer_is_final_where_the_receiver_is_not_idempotent(misdeed: Any, words: str) -> None:
    async with receiving(misdeed) as receiver:
        webhook = hook(receiver.url, timeout_s=0.2, idempotent=False)
        with pytest.raises(Unavailable, match=f"{words}.*may have acted"):
            await webhook.apply(scale(1))
        await webhook.close()
    assert len(receiver.requests) == 1
    assert not webhook.repeatable


async def test_a_request_that_surely_did_not_act_is_retried_all_the_same() -> None:
    async with receiving(answer(429), answer(200)) as receiver:
        webhook = hook(receiver.url, idempotent=False)
        assert (await webhook.apply(scale(1))).attempts == 2
        await webhook.close()


async def test_a_closed_port_is_unavailable() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound, not listening: nobody answers and nobody else can take it
        webhook = hook(f"http://127.0.0.1:{held.getsockname()[1]}", attempts=2, idempotent=False)
        with pytest.raises(Unavailable, match=r"cannot connect .* after 2 attempts"):
            await webhook.apply(scale(1))
        await webhook.close()


async def test_an_endless_answer_is_cut_short() -> None:
    async with receiving(flood) as receiver:
        webhook = hook(receiver.url)
        assert (await webhook.apply(scale(1))).changed
        await webhook.close()


async def test_the_count_is_asked_and_never_made_up() -> None:
    script = [answer(200, '{"replicas": 7}'), answer(200, "{}"), answer(404)]
    async with receiving(*script) as receiver:
        webhook = hook(receiver.url, replicas_url=receiver.url + "/count/{target}")
        assert await webhook.replicas("checkout") == 7
        with pytest.raises(Unavailable, match="replicas"):
            await webhook.replicas("checkout")
        with pytest.raises(UnknownTarget):
            await webhook.replicas("checkout")
        await webhook.close()
    assert receiver.requests[0].path == "/count/checkout"
    plain = hook("http://127.0.0.1:1")
    with pytest.raises(NotSupported, match="replicas_url"):
        await plain.replicas("checkout")
    await plain.close()


async def test_secrets_come_from_the_environment_and_stay_out_of_logs(
    caplog: pytest.LogCaptureFixture, tmp_path: Any
) -> None:
    (tmp_path / "key").write_text("from-a-file\n")
    headers = {"Authorization": "Bearer ${HOOK_TOKEN}", "X-Key": f"${{file:{tmp_path}/key}}"}
    with caplog.at_level(logging.DEBUG):
        async with receiving(answer(403, "no")) as receiver:
            webhook = hook(receiver.url + "/?key=in-the-url", env={"HOOK_TOKEN": "s3cret"}, headers=headers)
            with pytest.raises(Refused) as caught:
                await webhook.apply(scale(1))
            await webhook.close()
    assert receiver.requests[0].headers["Authorization"] == "Bearer s3cret"
    assert receiver.requests[0].headers["X-Key"] == "from-a-file"
    told = caplog.text + str(caught.value) + repr(webhook)
    assert "s3cret" not in told
    assert "from-a-file" not in told
    assert "in-the-url" not in str(caught.value)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, "set `url`"),
        ({"url": "ftp://x"}, "must begin with http"),
        ({"url": "http://x", "attempts": 0}, "at least 1"),
        ({"url": "http://x", "timeout_s": 0}, "above 0"),
        ({"url": "http://x", "retries": 3}, "unknown field `retries`"),
        ({"url": "http://x", "timeout_s": "5s"}, r"`float`.*\$\.timeout_s"),
        ({"url": "http://x", "headers": {"A": "${NOT_SET}"}}, "NOT_SET is not set"),
        ({"url": "http://x", "headers": {"A": "${file:/nowhere/x}"}}, "cannot read the secret file"),
        ({"url": "http://x", "ca_file": "/nowhere/ca.pem"}, "cannot load `ca_file`"),
    ],
)
def test_a_wrong_configuration_says_what_to_mend(params: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        make_actuator("webhook", params, env={})


async def test_urls_by_target() -> None:
    async with receiving(answer(200)) as receiver:
        webhook = hook(None, urls={"checkout": receiver.url + "/special"})
        await webhook.apply(scale(1))
        with pytest.raises(UnknownTarget, match="configured: checkout"):
            await webhook.apply(scale(1, target="search"))
        await webhook.close()
    assert [request.path for request in receiver.requests] == ["/special"]


async def test_a_target_that_makes_no_url_is_unknown() -> None:
    webhook = hook("http://127.0.0.1:1/{target}")
    with pytest.raises(UnknownTarget, match="does not fit"):
        await webhook.apply(scale(1, target="x" * 70_000))
    await webhook.close()


async def test_through_the_ledger_a_replay_does_not_call_again(
    ledger: RedisLedger, new_ledger: Callable[[], RedisLedger]
) -> None:
    async with receiving(answer(500), answer(200)) as receiver:
        webhook = hook(receiver.url)
        for status in ("executed", "duplicate"):
            outcome = await execute(
                scale(1), ledger=ledger, actuator=webhook, clock=lambda: 0, policy=ExecutionPolicy()
            )
            assert outcome.status == status
        await webhook.close()
    assert len(receiver.requests) == 2
