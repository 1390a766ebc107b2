"""The actuator for Docker Compose on one machine: `docker compose up --scale SERVICE=N`."""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from actuators.errors import NotSupported, Refused, Unavailable, UnknownTarget
from actuators.port import Applied
from schemas import Command, Scale

_SHOWN = 300  # characters of what the program said


class ComposeConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`services` names the service of each target; others are the service of their own name.

    `files` and `project` are those of `docker compose`; `program` is how it is called. `timeout_s` bounds one
    call.
    """

    files: Sequence[str] = ()
    project: str | None = None
    services: Mapping[str, str] = msgspec.field(default_factory=dict)
    program: Sequence[str] = ("docker", "compose")
    timeout_s: float = 120.0


class Compose:
    """Acts through the command line of Docker Compose."""

    name = "compose"
    kinds = frozenset({"scale"})
    repeatable = True  # it sets a state

    def __init__(self, config: ComposeConfig, *, env: Mapping[str, str]) -> None:
        self._config = config
        self._env = dict(env)
        self._one = asyncio.Lock()  # two at a time would undo each other

    def arguments(self, *words: str) -> list[str]:
        """The command line that does `words` in the configured project."""
        files = [word for file in self._config.files for word in ("--file", file)]
        project = ["--project-name", self._config.project] if self._config.project else []
        return [*self._config.program, *files, *project, *words]

    async def apply(self, command: Command) -> Applied:
        """Scale; containers that run already are left alone. See `Actuator.apply` for the errors."""
        if not isinstance(command.action, Scale):
            raise NotSupported(f"compose cannot {command.kind}; it can scale")
        service, wanted = self._service(command.target), command.action.replicas
        async with self._one:
            before = await self._running(service)
            if before == wanted:
                return Applied(detail=f"{service} has {wanted} containers already", changed=False)
            await self._call(
                "up", "--detach", "--no-deps", "--no-recreate", "--scale", f"{service}={wanted}", service
            )
        return Applied(detail=f"{service}: {before} -> {wanted} containers", changed=True)

    async def replicas(self, target: str) -> int:
        """The containers that run. See `Actuator.replicas` for the errors."""
        return await self._running(self._service(target))

    async def close(self) -> None:
        """Nothing to release."""

    def _service(self, target: str) -> str:
        service = self._config.services.get(target, target)
        if service.startswith("-"):
            raise UnknownTarget(f"{service!r} cannot be the name of a service")
        return service

    async def _running(self, service: str) -> int:
        services = (await self._call("config", "--services")).split()
        if service not in services:
            known = ", ".join(sorted(services)) or "none"
            raise UnknownTarget(f"no service {service!r} in the Compose project; there are {known}")
        return len((await self._call("ps", "--quiet", service)).split())

    async def _call(self, *words: str) -> str:
        arguments = self.arguments(*words)
        shown = " ".join(arguments)
        try:
            process = await asyncio.create_subprocess_exec(
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=self._env,
            )
        except OSError as error:
            raise Refused(
                f"cannot run {arguments[0]}: {error.strerror}; install it, or set `program`"
            ) from error
        try:
            async with asyncio.timeout(self._config.timeout_s):
                out, err = await process.communicate()
        except TimeoutError as error:
            raise Unavailable(f"{shown}: no end within {self._config.timeout_s:g} s", attempts=1) from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            said = err.decode(errors="replace").strip()[-_SHOWN:]
            kind = Unavailable if "daemon" in said else Refused
            raise kind(f"{shown}: exit code {process.returncode}: {said}", attempts=1)
        return out.decode(errors="replace")
