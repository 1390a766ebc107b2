"""What a Kafka user must be allowed, and what of it is missing: named before anything fails for it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupAuthorizationFailedError, IncompatibleBrokerVersion
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

from streams import topics
from streams.config import KafkaConfig

Operation = Literal["Read", "Write"]
_BITS: Mapping[Operation, int] = {"Read": 3, "Write": 4}  # of an authorised-operations field
_UNTOLD = -(2**31)
_NO_SUCH_TOPIC, _TOPIC_REFUSED, _GROUP_REFUSED = 3, 29, 30

_READ = {
    "detect": (topics.METRICS, topics.DETECT_CONTROL),
    "alert": (topics.CHANGES, topics.ALERT_CONTROL),
    "plan": (topics.SIGNALS, topics.EVENTS, topics.OUTCOMES, topics.FLAGS),
    "act": (topics.COMMANDS,),
}
_WRITTEN = {
    "detect": (
        topics.SIGNALS, topics.ANOMALIES, topics.CHANGES, topics.DETECT_CONTROL, topics.DEAD_LETTERS,
    ),
    "alert": (topics.ALERTS, topics.DEAD_LETTERS),
    "plan": (
        topics.FORECASTS, topics.COMMANDS, topics.RELEASES, topics.COSTS, topics.ALERTS, topics.MODELS,
        topics.DETECT_CONTROL, topics.ALERT_CONTROL, topics.DEAD_LETTERS,
    ),
    "act": (topics.OUTCOMES, topics.DEAD_LETTERS),
}  # fmt: skip


class AccessError(RuntimeError):
    """The Kafka user may not do what it must; the text names each missing right and how to grant it."""


class Privilege(NamedTuple):
    """A right on a topic or a group. Either includes Describe."""

    operation: Operation
    resource: Literal["topic", "group"]
    name: str

    def grant(self, principal: str) -> str:
        """The arguments of `kafka-acls` that give it."""
        who, what = f"--allow-principal '{principal}'", f"--{self.resource} '{self.name}'"
        return f"--add {who} --operation {self.operation} {what}"


def of_worker(kafka: KafkaConfig, roles: Iterable[str]) -> list[Privilege]:
    """What a worker with `roles` needs, its topics being there."""
    found = {Privilege("Read", "group", kafka.group)}
    parts = set(roles)
    for role in parts | ({"alert"} if "detect" in parts else set()):  # alerts are part of detection
        found |= {Privilege("Read", "topic", kafka.prefix + spec.name) for spec in _READ[role]}
        found |= {Privilege("Write", "topic", kafka.prefix + spec.name) for spec in _WRITTEN[role]}
        if role != "act":
            changelog = f"{kafka.group}-{role}-state-changelog"
            found |= {Privilege("Read", "topic", changelog), Privilege("Write", "topic", changelog)}
    return sorted(found)


def of_receiver(kafka: KafkaConfig, otlp_topics: Sequence[str]) -> list[Privilege]:
    """What a receiver needs."""
    found = [Privilege("Write", "topic", kafka.prefix + topics.METRICS.name)]
    if otlp_topics:
        found += [Privilege("Read", "topic", name) for name in otlp_topics]
        found.append(Privilege("Write", "topic", kafka.prefix + topics.DEAD_LETTERS.name))
        found.append(Privilege("Read", "group", f"{kafka.group}-receive"))
    return sorted(found)


def of_server(kafka: KafkaConfig) -> list[Privilege]:
    """What `tidegate serve-keda` and `tidegate serve-external-metrics` need."""
    return [
        Privilege("Read", "topic", kafka.prefix + spec.name) for spec in (topics.COMMANDS, topics.FORECASTS)
    ]


def of_optimiser(kafka: KafkaConfig) -> list[Privilege]:
    """What `tidegate optimise` needs."""
    return [*of_server(kafka), Privilege("Write", "topic", kafka.prefix + topics.COMMANDS.name)]


def principal(kafka: KafkaConfig) -> str:
    """The user's name as ACLs have it, as far as it is known here."""
    return f"User:{kafka.sasl_username}" if kafka.security.startswith("SASL") else "User:CN=YOUR-CLIENT"


async def require(kafka: KafkaConfig, connection: Mapping[str, Any], privileges: Sequence[Privilege]) -> None:
    """Return where nothing is missing, or where the brokers do not tell.

    Raises:
        AccessError: something is missing.
        KafkaError: the brokers cannot be reached.
    """
    if lacking := await missing(connection, privileges):
        who = principal(kafka)
        words = "; ".join(f"{each.operation} on {each.resource} {each.name}" for each in lacking)
        grants = "\n".join(f"kafka-acls --bootstrap-server ... {each.grant(who)}" for each in lacking)
        raise AccessError(f"the Kafka user lacks: {words}. Grant it:\n{grants}")


async def missing(connection: Mapping[str, Any], privileges: Sequence[Privilege]) -> list[Privilege]:
    """Those of `privileges` that the user does not have; none where the brokers do not tell.

    What is not there yet, and may be seen, counts as allowed: making it is another matter.

    Raises:
        KafkaError: the brokers cannot be reached.
    """
    admin = AIOKafkaAdminClient(**connection)
    await admin.start()
    try:
        allowed = await _topics(admin, sorted({p.name for p in privileges if p.resource == "topic"}))
        for group in sorted({p.name for p in privileges if p.resource == "group"}):
            allowed["group", group] = await _group(admin, group)
    except (IncompatibleBrokerVersion, NotImplementedError):
        return []
    finally:
        await admin.close()
    return [each for each in privileges if not _holds(each, allowed.get((each.resource, each.name)))]


def _holds(privilege: Privilege, bits: int | None) -> bool:
    return bits is None or bits == _UNTOLD or bool(bits >> _BITS[privilege.operation] & 1)


async def _topics(admin: AIOKafkaAdminClient, names: list[str]) -> dict[tuple[str, str], int | None]:
    # The client's own call is of a version without the rights.
    response: Any = await admin._send_request(_MetadataRequest(names))
    return {
        ("topic", name): 0 if code == _TOPIC_REFUSED else None if code == _NO_SUCH_TOPIC else bits
        for code, name, _, _, bits in response.topics
    }


async def _group(admin: AIOKafkaAdminClient, name: str) -> int | None:
    # The client's own call tells only whether the group may be seen, which the right to read it includes.
    try:
        (response,) = await admin.describe_consumer_groups([name])
    except GroupAuthorizationFailedError:
        return 0
    return 0 if response.groups[0][0] == _GROUP_REFUSED else None  # type: ignore[attr-defined]


class _MetadataResponseV8(Response):
    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            Array(("node_id", Int32), ("host", String("utf-8")), ("port", Int32), ("rack", String("utf-8"))),
        ),
        ("cluster_id", String("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", String("utf-8")),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
        ("cluster_authorized_operations", Int32),
    )


class _MetadataRequestV8(RequestStruct):
    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _MetadataResponseV8
    SCHEMA = Schema(
        ("topics", Array(String("utf-8"))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class _MetadataRequest(Request[_MetadataRequestV8]):
    API_KEY = 3

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def build(self, request_struct_class: type[_MetadataRequestV8]) -> _MetadataRequestV8:
        return request_struct_class(self._names, False, False, True)
