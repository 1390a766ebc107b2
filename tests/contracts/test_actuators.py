"""One suite over every actuator in the registry, each live and in dry run."""

import contextlib
import dataclasses
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import msgspec
import pytest
from _pytest.mark import ParameterSet

from actuators import (
    ActuationError,
    Actuator,
    Applied,
    ConfigurationError,
    DryRun,
    NotSupported,
    Refused,
    UnknownTarget,
    errors,
    known_actuators,
    make_actuator,
)
from actuators.simulated_cluster import SimulatedCluster
from schemas import Action, Command, Place, Promote, Rollback, Scale, SetTraffic
from tests.actuators.lab import kubernetes_lab
from tests.actuators.receiver import receiving

__all__ = ["kubernetes_lab"]

TARGET = "checkout"
_numbers = itertools.count()
ACTIONS: dict[str, Action] = {
    "scale": Scale(replicas=5, previous=2),
    "rollback": Rollback(release="v2", to="v1"),
    "promote": Promote(release="v2"),
    "set-traffic": SetTraffic(release="v2", percent=20.0),
    "place": Place(job="nightly", node="n1", start_at=1),
}


def command(kind: str, target: str = TARGET, number: int = 1) -> Command:
    return Command(
        id=f"{kind}-{number}",
        target=target,
        sequence=number,
        action=ACTIONS[kind],
        reasons=["contract"],
        issued_at=1,
        expires_at=2,
    )


@dataclasses.dataclass
class Rig:
    """An actuator on a real (or simulated) platform where TARGET has two replicas and a canary v2.

    `state` is all that the platform holds: equal before and after means that nothing acted.

    `executed` counts the commands that reached it.
    """

    actuator: Actuator
    state: Callable[[], Awaitable[Any]]
    executed: Callable[[], int]
    counts: bool = True  # whether the platform can be asked for replicas


Lend = Callable[[str], Any]  # a fixture by its name, only where the rig needs it


def _now(value: Callable[[], Any]) -> Callable[[], Awaitable[Any]]:
    async def read() -> Any:
        return value()

    return read


@asynccontextmanager
async def noop(dry_run: bool, lend: Lend) -> AsyncIterator[Rig]:
    made = make_actuator("noop", {"replicas": {TARGET: 2}}, env={}, dry_run=dry_run)
    yield Rig(made, _now(lambda: None), lambda: 0)


@asynccontextmanager
async def simulated(dry_run: bool, lend: Lend) -> AsyncIterator[Rig]:
    params = {"services": {TARGET: {"capacity": 10.0, "replicas": 2}}}
    platform = make_actuator("simulated", params, env={})
    assert isinstance(platform, SimulatedCluster)
    shop = platform.services[TARGET]
    shop.deploy("v2", 1, percent=5.0)
    yield Rig(
        DryRun(platform) if dry_run else platform,
        _now(lambda: (shop._wanted, shop.release, shop._canary)),
        shop.executions.total,
    )


class _Platform:
    """Behind HTTP: a service that honours the idempotency key."""

    def __init__(self) -> None:
        self.done: dict[str, bytes] = {}

    async def handle(self, request: Any) -> Any:
        from aiohttp import web  # noqa: PLC0415

        if request.match_info["rest"] != TARGET:
            return web.Response(status=404, text="no such service")
        if request.method == "GET":
            return web.json_response({"replicas": 2})
        self.done.setdefault(request.headers["Idempotency-Key"], await request.read())
        return web.Response(status=202)


@asynccontextmanager
async def webhook(dry_run: bool, lend: Lend) -> AsyncIterator[Rig]:
    platform = _Platform()
    async with receiving(platform.handle) as receiver:
        url = receiver.url + "/{target}"
        made = make_actuator("webhook", {"url": url, "replicas_url": url}, env={}, dry_run=dry_run)
        yield Rig(made, _now(lambda: dict(platform.done)), lambda: len(platform.done))


@asynccontextmanager
async def aws(dry_run: bool, lend: Lend) -> AsyncIterator[Rig]:
    from tests.actuators import moto_server  # noqa: PLC0415 - needs the extra

    with moto_server.running() as url:
        client = moto_server.client(url)
        moto_server.create_group(client, TARGET, 2)
        made = make_actuator("aws", moto_server.params(url), env={}, dry_run=dry_run)
        yield Rig(made, _now(lambda: moto_server.desired(client, TARGET)), lambda: 0)


@asynccontextmanager
async def compose(dry_run: bool, lend: Lend) -> AsyncIterator[Rig]:
    from tests.actuators.compose_program import Program  # noqa: PLC0415

    program = Program(lend("tmp_path"), {TARGET: 2})
    made = make_actuator("compose", {"program": program.words}, env=program.env, dry_run=dry_run)
    yield Rig(made, _now(program.counts), program.changes)


@asynccontextmanager
async def kubernetes(dry_run: bool, lend: Lend) -> AsyncIterator[Rig]:
    kubeconfig = lend("kubernetes_lab")
    from tests.actuators import cluster  # noqa: PLC0415 - needs the extra

    async with cluster.admin(kubeconfig) as client:
        namespace = f"contract-{next(_numbers)}"
        await cluster.create_namespace(client, namespace)
        manifest = cluster.workload("Deployment", TARGET, "v1", 2)
        await cluster.create(client, cluster.DEPLOYMENTS, manifest, namespace)
        await cluster.revision_of(client, namespace, "v1")
        await cluster.roll_out(client, namespace, TARGET, "v2")

        async def generation() -> int:
            """Counts the changes of what the Deployment should be."""
            deployment = await client.get(cluster.DEPLOYMENTS, TARGET, namespace=namespace)
            return int(deployment["metadata"]["generation"])

        params = {"kubeconfig": str(kubeconfig), "context": "admin", "namespace": namespace}
        yield Rig(make_actuator("kubernetes", params, env={}, dry_run=dry_run), generation, lambda: 0)


def _delivery(kind: str, resource: str, make: str, counts: bool) -> Any:
    """A rig on the custom resource of a delivery tool, made by the function `make`."""

    @asynccontextmanager
    async def rig(dry_run: bool, lend: Lend) -> AsyncIterator[Rig]:
        kubeconfig = lend("kubernetes_lab")
        from tests.actuators import cluster, delivery  # noqa: PLC0415 - needs the extra

        async with cluster.admin(kubeconfig) as client:
            namespace = f"contract-{next(_numbers)}"
            await cluster.create_namespace(client, namespace)
            await getattr(delivery, make)(client, namespace)

            async def state() -> Any:
                found = await client.get(delivery.resource_class(resource), TARGET, namespace=namespace)
                notes = found["metadata"].get("annotations")
                return notes, found["spec"], found.get("status")

            params = {"kubeconfig": str(kubeconfig), "context": "admin", "namespace": namespace}
            made = make_actuator(kind, params, env={}, dry_run=dry_run)
            yield Rig(made, state, lambda: 0, counts)

    return rig


RIGS: dict[str, Callable[[bool, Lend], AbstractAsyncContextManager[Rig]]] = {
    "argo-rollouts": _delivery("argo-rollouts", "rollouts.v1alpha1.argoproj.io", "rolling_out", True),
    "flagger": _delivery("flagger", "canaries.v1beta1.flagger.app", "in_analysis", False),
    "knative": _delivery("knative", "services.v1.serving.knative.dev", "with_revisions", False),
    "aws": aws,
    "compose": compose,
    "kubernetes": kubernetes,
    "noop": noop,
    "simulated": simulated,
    "webhook": webhook,
}


ON_A_CLUSTER = frozenset({"argo-rollouts", "flagger", "knative", "kubernetes"})


@pytest.fixture
def lend(request: pytest.FixtureRequest) -> Lend:
    return request.getfixturevalue


def _named(name: str, mode: str = "") -> ParameterSet:
    marks = [pytest.mark.platforms] if name in ON_A_CLUSTER else []
    return pytest.param(f"{name}{mode}", marks=marks)


@pytest.fixture(params=[_named(name, mode) for name in RIGS for mode in ("", " dry-run")])
async def rig(request: pytest.FixtureRequest, lend: Lend) -> AsyncIterator[Rig]:
    name, _, mode = request.param.partition(" ")
    async with RIGS[name](bool(mode), lend) as made:
        yield made
        await made.actuator.close()


def test_every_actuator_of_the_registry_is_under_contract() -> None:
    assert sorted(RIGS) == known_actuators()


async def test_it_has_a_name_and_kinds(rig: Rig) -> None:
    assert rig.actuator.name
    assert rig.actuator.kinds
    assert rig.actuator.kinds <= ACTIONS.keys()


@pytest.mark.parametrize("kind", sorted(ACTIONS))
async def test_it_does_the_kinds_it_names_and_refuses_the_others(rig: Rig, kind: str) -> None:
    if kind in rig.actuator.kinds:
        applied = await rig.actuator.apply(command(kind))
        assert isinstance(applied, Applied)
        assert applied.detail
        assert applied.attempts >= (0 if applied.dry_run else 1)
        assert applied.dry_run == isinstance(rig.actuator, DryRun)
    else:
        before = await rig.state()
        with pytest.raises(NotSupported):
            await rig.actuator.apply(command(kind))
        assert await rig.state() == before


@pytest.mark.parametrize("name", [_named(name) for name in RIGS])
@pytest.mark.parametrize("kind", sorted(ACTIONS))
async def test_a_dry_run_never_acts(name: str, kind: str, lend: Lend) -> None:
    async with RIGS[name](True, lend) as rig:
        before = await rig.state()
        if kind in rig.actuator.kinds:
            applied = await rig.actuator.apply(command(kind))
            assert applied.dry_run
            assert not applied.changed
            assert applied.detail.startswith("would ")
        else:
            with pytest.raises(NotSupported):
                await rig.actuator.apply(command(kind))
        assert await rig.state() == before
        assert rig.executed() == 0
        await rig.actuator.close()


async def test_a_repeatable_command_leaves_the_platform_as_it_was(rig: Rig) -> None:
    for kind in sorted(rig.actuator.kinds) if rig.actuator.repeatable else ():
        with contextlib.suppress(Refused):  # what came before may have used up the canary
            await rig.actuator.apply(command(kind))
        once = await rig.state()
        with contextlib.suppress(Refused):  # to say that it is done already is as good
            await rig.actuator.apply(command(kind))
        assert await rig.state() == once


async def test_the_count_of_a_known_target(rig: Rig) -> None:
    if rig.counts:
        assert await rig.actuator.replicas(TARGET) == 2
    else:
        with pytest.raises(NotSupported):
            await rig.actuator.replicas(TARGET)


async def test_an_unknown_target_is_an_error_and_never_a_zero(rig: Rig) -> None:
    with pytest.raises(UnknownTarget if rig.counts else NotSupported, match=r"nowhere|404"):
        await rig.actuator.replicas("nowhere")


async def test_a_command_for_an_unknown_target_acts_on_nothing(rig: Rig) -> None:
    before = await rig.state()
    kind = sorted(rig.actuator.kinds)[-1]
    if rig.actuator.name == "noop":
        assert not (await rig.actuator.apply(command(kind, "nowhere"))).changed
    elif isinstance(rig.actuator, DryRun) and not rig.counts:  # it has no question to ask the platform
        assert (await rig.actuator.apply(command(kind, "nowhere"))).dry_run
    else:
        with pytest.raises(UnknownTarget):
            await rig.actuator.apply(command(kind, "nowhere"))
    assert await rig.state() == before


async def test_closing_twice_is_harmless(rig: Rig) -> None:
    await rig.actuator.close()
    await rig.actuator.close()


@pytest.mark.parametrize("kind", known_actuators())
def test_unknown_parameters_are_refused_by_name(kind: str) -> None:
    with pytest.raises(ConfigurationError, match=r"no_such_parameter|missing required field"):
        make_actuator(kind, {"no_such_parameter": 1}, env={})


def test_an_unknown_name_lists_the_known_and_guesses() -> None:
    with pytest.raises(ConfigurationError) as caught:
        make_actuator("webhok", {}, env={})
    assert all(name in str(caught.value) for name in known_actuators())
    assert "did you mean 'webhook'" in str(caught.value)


def test_an_actuator_of_ones_own_is_named_by_its_module() -> None:
    made = make_actuator(f"{__name__}:own", {"replicas": {"a": 1}}, env={"A": "1"})
    assert made.name == "noop"
    for wrong in ("no.such.module:own", f"{__name__}:nothing", ":own"):
        with pytest.raises(ConfigurationError, match="cannot be imported"):
            make_actuator(wrong, {}, env={})


def own(params: Any, env: Any) -> Actuator:
    assert env == {"A": "1"}
    return make_actuator("noop", params, env=env)


def test_every_error_hangs_on_one_tree_and_keeps_its_attempts() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    assert len(kinds) >= 8
    for kind in kinds:
        assert issubclass(kind, ActuationError)
        assert kind("words", attempts=3).attempts == 3
        assert str(kind("words")) == "words"


def test_commands_survive_the_wire_unchanged() -> None:
    for kind in ACTIONS:
        sent = command(kind)
        assert msgspec.json.decode(msgspec.json.encode(sent), type=Command) == sent
