"""Kubernetes: an API server that answers badly, and the naming of releases; needs no cluster."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from actuators import Refused, Unavailable, make_actuator
from actuators.kubernetes import Kubernetes
from actuators.kubernetes_undo import choose, owned, release_names, undo_patch
from tests.actuators.commands import scale
from tests.actuators.receiver import Answer, drip, hang, receiving, reset

SCALE = (
    '{"kind":"Scale","apiVersion":"autoscaling/v1","metadata":{"name":"checkout","resourceVersion":"7"},'
    '"spec":{"replicas":3},"status":{"replicas":3}}'
)


def api(status: int, text: str = "", **headers: str) -> Answer:
    """An answer as the API server writes it."""
    from aiohttp import web  # noqa: PLC0415

    async def handle(request: web.Request) -> web.StreamResponse:
        body = text or f'{{"kind":"Status","apiVersion":"v1","code":{status},"message":"told so"}}'
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, text=body, content_type="application/json", headers=named)

    return handle


async def bare(request: Any) -> Any:
    """A proxy's answer without a content type."""
    request.transport.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    request.transport.close()
    from aiohttp import web  # noqa: PLC0415

    return web.Response()


def plain(status: int, text: str, **headers: str) -> Answer:
    """An answer as its filter for priority and fairness writes it."""
    from tests.actuators.receiver import answer  # noqa: PLC0415

    return answer(status, text, **headers)


delays: list[float] = []


@pytest.fixture(autouse=True)
def _no_delays() -> None:
    delays.clear()


async def hands(url: str, folder: Path, **params: Any) -> Kubernetes:
    cluster = {"name": "c", "cluster": {"server": url}}
    context = {"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}
    config = {"clusters": [cluster], "contexts": [context], "users": [{"name": "u", "user": {}}]}
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config | {"current-context": "c"}))
    made = make_actuator("kubernetes", {"kubeconfig": str(path), "autoscaler": "ignore"} | params, env={})
    assert isinstance(made, Kubernetes)

    async def note(delay: float) -> None:
        delays.append(delay)

    made._sleep = note
    return made


@pytest.mark.parametrize(
    "fault",
    [
        api(409),
        api(429),
        api(500),
        api(503),
        api(504),
        plain(429, "Too many requests, please try again later.\n"),
        plain(502, "<html>bad gateway</html>"),
        reset,
        hang,
        drip,
        bare,
    ],
    ids=["409", "429", "500", "503", "504", "429-plain", "502-html", "reset", "hang", "drip", "bare"],
)
async def test_what_may_pass_is_retried(fault: Any, tmp_path: Path) -> None:
    async with receiving(fault, api(200, SCALE), fault, api(200, SCALE)) as receiver:
        actuator = await hands(receiver.url, tmp_path, timeout_s=0.3)
        applied = await actuator.apply(scale(1, 5))
        await actuator.close()
    assert applied.attempts == 3  # the read failed once, then the write, then the count was found as asked
    assert [request.method for request in receiver.requests][:2] == ["GET", "GET"]


async def test_the_wait_that_the_server_asks_for_is_kept(tmp_path: Path) -> None:
    async with receiving(api(429, Retry_After="7"), api(200, SCALE)) as receiver:
        actuator = await hands(receiver.url, tmp_path)
        assert await actuator.replicas("checkout") == 3
        await actuator.close()
    assert delays == [7.0]


async def test_attempts_end_with_the_last_reason(tmp_path: Path) -> None:
    async with receiving(api(503)) as receiver:
        actuator = await hands(receiver.url, tmp_path, attempts=3)
        with pytest.raises(Unavailable, match=r"answers 503 to GET .*: told so, after 3 attempts") as caught:
            await actuator.replicas("checkout")
        await actuator.close()
    assert caught.value.attempts == 3
    assert receiver.requests[0].path == "/apis/apps/v1/namespaces/shop/deployments/checkout/scale"


async def test_an_answer_without_a_count_is_an_error_and_not_a_zero(tmp_path: Path) -> None:
    async with receiving(api(200, '{"kind":"Scale","metadata":{}}')) as receiver:
        actuator = await hands(receiver.url, tmp_path)
        with pytest.raises(Unavailable, match="no desired count"):
            await actuator.replicas("checkout")
        await actuator.close()


@pytest.mark.parametrize("text", ["<html>", "[]", '{"spec": {"replicas": "many"}}'])
async def test_an_answer_that_is_no_scale_is_an_error_and_not_a_zero(text: str, tmp_path: Path) -> None:
    async with receiving(api(200, text)) as receiver:
        actuator = await hands(receiver.url, tmp_path, attempts=2)
        with pytest.raises(Unavailable):
            await actuator.replicas("checkout")
        await actuator.close()


@pytest.mark.parametrize(
    ("image", "names"),
    [
        ("nginx:1.27", ["1.27", "nginx:1.27"]),
        ("registry:5000/team/shop:v2", ["v2", "registry:5000/team/shop:v2"]),
        ("registry:5000/team/shop", ["registry:5000/team/shop"]),
        ("shop@sha256:ab12", ["shop@sha256:ab12"]),
        ("shop:v2@sha256:ab12", ["v2", "shop:v2@sha256:ab12"]),
    ],
)
def test_a_release_goes_by_its_tag_and_its_image(image: str, names: list[str]) -> None:
    assert release_names({"spec": {"containers": [{"image": image}]}}, "version") == names


def revision_of(number: str, release: str, owner: str = "mine") -> dict[str, Any]:
    return {
        "metadata": {
            "annotations": {"deployment.kubernetes.io/revision": number},
            "ownerReferences": [{"uid": owner}],
        },
        "spec": {
            "template": {"metadata": {"labels": {"version": release, "pod-template-hash": "x"}}, "spec": {}}
        },
    }


def test_history_is_that_of_the_deployment_in_numeric_order() -> None:
    sets = [
        revision_of("9", "a"),
        revision_of("10", "b"),
        revision_of("11", "c", "another's"),
        {"metadata": {}},
    ]
    history = owned(sets, {"metadata": {"uid": "mine"}})
    assert [release_names(each["spec"]["template"], "version") for each in history] == [["b"], ["a"]]
    assert choose(history, "b", None, "version") is sets[0]
    with pytest.raises(Refused, match="no revision of release before x is left; there are none"):
        choose([], "x", None, "version")


def test_the_patch_leaves_out_the_controllers_own_label() -> None:
    deployment = {"metadata": {"resourceVersion": "7", "uid": "mine"}}
    old = revision_of("1", "a")
    version, template = undo_patch(deployment, old)
    assert version["value"] == "7"
    assert template["value"] == {"metadata": {"labels": {"version": "a"}}, "spec": {}}
    assert "pod-template-hash" in old["spec"]["template"]["metadata"]["labels"]
