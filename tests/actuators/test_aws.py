"""Auto Scaling groups, on moto's server over HTTP: bounds, errors told apart, rights named."""

from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web

from actuators import Refused, Unavailable, UnknownTarget, make_actuator
from tests.actuators import moto_server
from tests.actuators.commands import scale
from tests.actuators.receiver import Answer, answer, receiving


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with moto_server.running() as made:
        yield made


async def test_a_target_is_the_group_of_its_name_or_of_the_configured_one(url: str) -> None:
    client = moto_server.client(url)
    moto_server.create_group(client, "shop-workers", 2)
    made = make_actuator("aws", moto_server.params(url, groups={"checkout": "shop-workers"}), env={})
    applied = await made.apply(scale(1, 6))
    assert applied.detail == "shop-workers: 2 -> 6 instances"
    assert moto_server.desired(client, "shop-workers") == await made.replicas("checkout") == 6
    again = await made.apply(scale(2, 6))
    assert (again.changed, again.detail) == (False, "shop-workers has a desired capacity of 6 already")
    with pytest.raises(Refused, match="shop-workers allows 1 to 10 instances, not 11"):
        await made.apply(scale(3, 11))
    with pytest.raises(UnknownTarget, match=r"no Auto Scaling group 'search' in eu-central-1"):
        await made.replicas("search")
    await made.close()


def error(status: int, code: str, message: str) -> Answer:
    """An answer of AWS's query protocol."""
    body = (
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
        "<RequestId>1</RequestId></ErrorResponse>"
    )
    return answer(status, body, Content_Type="text/xml")


async def _asked(monkeypatch: pytest.MonkeyPatch, *script: Any, **params: Any) -> tuple[Any, int]:
    """What asking for the count raises where AWS answers so, and how often it was called."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret-of-aws")
    async with receiving(*script) as receiver:
        made = make_actuator("aws", moto_server.params(receiver.url, attempts=3, **params), env={})
        with pytest.raises((Refused, Unavailable)) as caught:
            await made.replicas("checkout")
        await made.close()
        assert "s3cret" not in str(caught.value)
        return caught.value, len(receiver.requests)


async def test_a_missing_right_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = error(403, "AccessDenied", "User is not authorized")
    raised, calls = await _asked(monkeypatch, refused)
    assert isinstance(raised, Refused)
    assert "allow autoscaling:DescribeAutoScalingGroups" in str(raised)
    assert calls == 1


@pytest.mark.parametrize(
    "script", [error(400, "Throttling", "Rate exceeded"), error(503, "ServiceUnavailable", "try later")]
)
async def test_what_passes_is_tried_again(monkeypatch: pytest.MonkeyPatch, script: Any) -> None:
    raised, calls = await _asked(monkeypatch, script)
    assert isinstance(raised, Unavailable)
    assert (calls, raised.attempts) == (3, 3)


async def test_no_answer_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def abort(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    raised, _ = await _asked(monkeypatch, abort)
    assert isinstance(raised, Unavailable)
