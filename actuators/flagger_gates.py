"""The webhooks that Flagger asks, answered from what `flagger` wrote on the Canary.

Point the Canary's webhooks of type confirm-rollout, confirm-traffic-increase, confirm-promotion and rollback
at `/confirm-rollout`, `/confirm-traffic-increase`, `/confirm-promotion` and `/rollback`. Status 200 means
yes. Without an answer of the API server nothing is allowed.
"""

from collections.abc import Mapping

import msgspec
from aiohttp import web

from actuators.errors import ActuationError
from actuators.flagger import RESOURCE, VERDICT, WEIGHT
from actuators.kubernetes_custom import Custom, DeliveryConfig, Object

HOOKS = ("confirm-rollout", "confirm-traffic-increase", "confirm-promotion", "rollback")


class Asked(msgspec.Struct, frozen=True):
    """What Flagger posts; its other fields do not matter here."""

    name: str
    namespace: str


class Gates:
    """An aiohttp application; `config` says how to reach the API server."""

    def __init__(self, config: DeliveryConfig, *, env: Mapping[str, str]) -> None:
        self._config = config
        self._env = env
        self._customs: dict[str, Custom] = {}
        self.app = web.Application()
        for hook in HOOKS:
            self.app.router.add_post(f"/{hook}", self._answer)
        self.app.on_cleanup.append(self._close)

    async def _answer(self, request: web.Request) -> web.Response:
        hook = request.path.removeprefix("/")
        try:
            asked = msgspec.json.decode(await request.read(), type=Asked)
        except msgspec.MsgspecError as error:
            raise web.HTTPBadRequest(text=f"expected Flagger's webhook payload: {error}") from error
        custom = self._custom(asked.namespace)
        try:
            canary, _ = await custom.persist(lambda: custom.get(asked.name))
        except ActuationError as error:
            return web.Response(status=503, text=str(error))
        yes, why = allows(hook, canary)
        return web.Response(status=200 if yes else 403, text=why)

    def _custom(self, namespace: str) -> Custom:
        if namespace not in self._customs:
            config = msgspec.structs.replace(self._config, namespace=namespace, names={})
            self._customs[namespace] = Custom(RESOURCE, config, env=self._env)
        return self._customs[namespace]

    async def _close(self, _: web.Application) -> None:
        for custom in self._customs.values():
            await custom.close()


def allows(hook: str, canary: Object) -> tuple[bool, str]:
    """Whether Flagger may do what `hook` asks, and why."""
    notes = canary["metadata"].get("annotations") or {}
    verdict, limit = notes.get(VERDICT, ""), float(notes.get(WEIGHT, "0"))
    if hook == "rollback":
        return verdict == "rollback", f"verdict: {verdict or 'none yet'}"
    if verdict == "rollback":
        return False, "it is to be rolled back"
    if hook == "confirm-promotion":
        return verdict == "promote", f"verdict: {verdict or 'none yet'}"
    weight = float(canary.get("status", {}).get("canaryWeight") or 0)
    return weight < limit, f"weight {weight:g} of {limit:g} % allowed"
