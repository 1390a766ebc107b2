"""The ledger on Redis (or Valkey): each decision is one Lua script, hence atomic.

All keys share one hash tag: a script may only touch keys of one slot. The ledger needs a Redis
that keeps what it acknowledged (`appendonly yes`, `appendfsync always`, `maxmemory-policy noeviction`);
`concerns` says where the server at hand does not.
"""

from collections.abc import Awaitable, Mapping, Sequence
from importlib import resources
from typing import Any, Self, TypeVar, cast

import msgspec
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from actuators.errors import LedgerUnavailable, Refused
from actuators.guard import GuardConfig
from actuators.ledger import Claim, Pause
from schemas import Command, Outcome

T = TypeVar("T")

_DAY_MS = 86_400_000
_ALL = "all"


def _script(name: str) -> str:
    return resources.files("actuators").joinpath("lua", name).read_text(encoding="utf-8")


class RedisLedger:
    """`namespace` keeps ledgers on one server apart (a dry-run worker beside a live one needs its own).

    Outcomes are kept for `keep_ms`; after that the sequence alone still keeps an old command from acting.
    """

    def __init__(self, redis: Redis, *, namespace: str = "tidegate", keep_ms: int = 7 * _DAY_MS) -> None:
        self._redis = redis
        self._prefix = f"{{{namespace}}}"
        self._keep_ms = keep_ms
        self._claim = redis.register_script(_script("claim.lua"))
        self._renew = redis.register_script(_script("renew.lua"))
        self._settle = redis.register_script(_script("settle.lua"))
        self._admit = redis.register_script(_script("admit.lua"))

    @classmethod
    def from_url(
        cls, url: str, *, namespace: str = "tidegate", keep_ms: int = 7 * _DAY_MS, timeout_s: float = 2.0
    ) -> Self:
        """Connect lazily to `url` (`redis://`, `rediss://`, `unix://`); a call gives up after `timeout_s`."""
        # Waiting and asking again is `execute`'s business: it knows that nothing may act meanwhile.
        redis = Redis.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )
        return cls(redis, namespace=namespace, keep_ms=keep_ms)

    async def claim(
        self,
        command: Command,
        *,
        holder: str,
        now: int,
        cooldown_ms: int,
        lease_ms: int,
        actuator: str,
        repeatable: bool,
        source: str | None = None,
    ) -> Claim:
        """See `Ledger.claim`.

        Raises:
            Refused: the sequence is negative or has more than 20 digits.
        """
        if not 0 <= command.sequence < 10**20:
            raise Refused(f"sequence {command.sequence} of command {command.id} is not in [0, 10^20)")
        keys = [*self._keys(command), f"{self._prefix}:pauses"]
        arguments: list[str | int] = [
            command.id,
            holder,
            f"{command.sequence:020d}",  # compared as text: a Lua number is exact to 2^53 only
            command.issued_at,
            command.expires_at,
            now,
            cooldown_ms,
            lease_ms,
            self._keep_ms,
            command.target,
            command.kind,
            actuator,
            source or "",
            int(repeatable),
        ]
        word, *fields = await self._ask(self._claim(keys=keys, args=arguments))
        if not fields:
            return Claim(state=word)
        return Claim(state=word, outcome=_outcome(command, fields), source=fields[5] or None)

    async def renew(self, command: Command, *, holder: str, lease_ms: int) -> bool:
        """See `Ledger.renew`."""
        record, _, lease = self._keys(command)
        return bool(await self._ask(self._renew(keys=[record, lease], args=[holder, lease_ms])))

    async def settle(self, command: Command, outcome: Outcome, *, holder: str) -> Outcome | None:
        """See `Ledger.settle`."""
        arguments: list[str | int] = [
            command.id,
            holder,
            self._keep_ms,
            outcome.status,
            outcome.detail,
            outcome.actuator,
            outcome.at,
            outcome.attempts,
        ]
        word, *fields = await self._ask(self._settle(keys=self._keys(command), args=arguments))
        return _outcome(command, fields) if word == "settled" else None

    async def outcome(self, command: Command) -> Outcome | None:
        """See `Ledger.outcome`."""
        names = ["status", "detail", "actuator", "at", "attempts"]
        fields = await self._ask(self._redis.hmget(self._keys(command)[0], names))
        return None if fields[0] in (None, "claimed") else _outcome(command, fields)

    async def pause(self, target: str | None, *, by: str, reason: str, at: int) -> None:
        """See `Ledger.pause`."""
        pause = msgspec.json.encode(Pause(target=target, by=by, reason=reason, at=at)).decode()
        await self._ask(self._redis.hset(f"{self._prefix}:pauses", _field(target), pause))

    async def resume(self, target: str | None) -> bool:
        """See `Ledger.resume`."""
        return bool(await self._ask(self._redis.hdel(f"{self._prefix}:pauses", _field(target))))

    async def pauses(self) -> list[Pause]:
        """See `Ledger.pauses`."""
        stored = await self._ask(self._redis.hgetall(f"{self._prefix}:pauses"))
        found = [msgspec.json.decode(text, type=Pause) for text in stored.values()]
        return sorted(found, key=lambda pause: (pause.target is not None, pause.target or ""))

    async def admit(
        self, target: str, *, before: int | None, after: int | None, fleet: int, now: int, limits: GuardConfig
    ) -> str | None:
        """See `Budget.admit`."""
        arguments: list[str | int | float] = [
            target,
            -1 if before is None else before,
            -1 if after is None else after,
            now,
            int(limits.window_s * 1000),
            limits.max_targets or 0,
            limits.max_share or 0,
            fleet,
            limits.max_up_factor or 0,
            limits.max_down_share or 0,
        ]
        why = await self._ask(self._admit(keys=[f"{self._prefix}:guard"], args=arguments))
        return str(why) or None

    async def ping(self) -> None:
        """Return where the server answers.

        Raises:
            LedgerUnavailable: it does not; the text says why.
        """
        await self._ask(self._redis.ping())

    async def concerns(self) -> list[str]:
        """What in the server's settings could make it forget a claim, each with its remedy."""
        wanted = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
        try:
            found: Mapping[Any, Any] = await self._redis.config_get(*wanted)
        except ResponseError as error:  # not allowed, or a hosted server that keeps its settings to itself
            words = ", ".join(f"{name} {value}" for name, value in wanted.items())
            return [f"the server does not tell its settings ({error}); make sure of {words}"]
        except (RedisError, OSError) as error:
            raise _unavailable(error) from error
        return [
            f"{name} is {found.get(name)!r}: a claim may be lost; set {name} to {value!r}"
            for name, value in wanted.items()
            if found.get(name) != value
        ]

    async def close(self) -> None:
        """See `Ledger.close`."""
        await self._redis.aclose()

    def _keys(self, command: Command) -> list[str]:
        lane = f"{command.kind}:{command.target}"
        return [
            f"{self._prefix}:command:{command.id}",
            f"{self._prefix}:lane:{lane}",
            f"{self._prefix}:lease:{lane}",
        ]

    async def _ask(self, call: "Awaitable[Any] | Any") -> Any:
        try:
            return await cast("Awaitable[Any]", call)
        except (RedisError, OSError) as error:
            raise _unavailable(error) from error


def _unavailable(error: Exception) -> LedgerUnavailable:
    verb = "refuses" if isinstance(error, ResponseError) else "does not answer"
    return LedgerUnavailable(f"the ledger {verb}: {error or type(error).__name__}")


def _field(target: str | None) -> str:
    return _ALL if target is None else f"target:{target}"


def _outcome(command: Command, fields: Sequence[Any]) -> Outcome:
    status, detail, actuator, at, attempts = fields[:5]
    return Outcome(
        command=command.id,
        target=command.target,
        kind=command.kind,
        status=status,
        detail=detail,
        actuator=actuator,
        at=int(at),
        attempts=int(attempts),
    )
