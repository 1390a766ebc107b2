"""Every key of the configuration file, with its meaning, unit and default."""

from typing import Annotated, Any, Literal

import msgspec

from planners.cost import Prices
from planners.releases import CanaryPlan, HistoryConfig, JudgeConfig
from planners.releases.contest import ContestConfig
from schemas.cost import Mode
from streams.config.alerts import AlertConfig
from streams.config.cluster import ClusterConfig
from streams.config.receive import ReceiveConfig
from streams.config.section import EMPTY, Count, Positive, Section
from streams.config.section import key as _key
from streams.config.serve import ServeConfig
from streams.config.signing import SigningConfig
from streams.scale_config import ScaleConfig

Security = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


class KafkaConfig(Section, frozen=True, kw_only=True):
    """Where Kafka is, and how the topics are laid out."""

    brokers: Annotated[tuple[str, ...], _key("bootstrap servers, host:port", min_length=1)] = (
        "127.0.0.1:9092",
    )
    group: Annotated[str, _key("consumer group, and the prefix of internal topics", min_length=1)] = (
        "tidegate"
    )
    prefix: Annotated[str, _key("put before every topic's name")] = ""
    partitions: Annotated[int, _key("partitions of each topic that is created", ge=1)] = 4
    replication: Annotated[int, _key("replicas of each topic that is created", ge=1)] = 1
    standby_replicas: Annotated[
        int, _key("workers that keep a warm copy of each partition's state", ge=0)
    ] = 0
    retention_hours: Annotated[float, _key("how long created topics keep records", gt=0)] = 168.0
    security: Annotated[Security, _key("PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL")] = "PLAINTEXT"
    ca_file: Annotated[str | None, _key("certificate authority of the brokers (PEM)")] = None
    cert_file: Annotated[str | None, _key("client certificate for mutual TLS (PEM)")] = None
    key_file: Annotated[str | None, _key("client key for mutual TLS (PEM)")] = None
    sasl_mechanism: Annotated[Mechanism, _key("PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")] = "SCRAM-SHA-512"
    sasl_username: Annotated[str | None, _key("SASL user")] = None
    sasl_password_env: Annotated[str, _key("environment variable that holds the SASL password")] = (
        "TIDEGATE_SASL_PASSWORD"
    )
    instance_env: Annotated[
        str, _key("environment variable that names this worker for good: back within the session, it goes on")
    ] = "TIDEGATE_INSTANCE"
    session_timeout_s: Annotated[float, _key("a worker silent for so long is replaced", gt=0)] = 10.0
    rebalance_timeout_s: Annotated[float, _key("how long a rebalance waits for a worker", gt=0)] = 30.0


class LedgerConfig(Section, frozen=True, kw_only=True):
    """Where the command ledger (Redis or Valkey) is."""

    url: Annotated[str, _key("redis:// or rediss:// address")] = "redis://127.0.0.1:6379/0"
    url_env: Annotated[str, _key("environment variable that replaces url: for one with a password")] = (
        "TIDEGATE_REDIS_URL"
    )
    namespace: Annotated[str, _key("keeps ledgers on one server apart")] = "tidegate"


class IngestConfig(Section, frozen=True, kw_only=True):
    """What is accepted on `metrics`."""

    max_future_s: Annotated[float, _key("samples further ahead of the clock are dead letters", gt=0)] = 600.0
    max_series: Annotated[int, _key("series per partition; beyond it new ones are dead letters", ge=1)] = (
        2_000_000
    )


class DetectorConfig(Section, frozen=True, kw_only=True):
    """The model that watches each series."""

    model: Annotated[str, _key("`tidegate`, `ewma-z`, or any River detector as river.module.Class")] = (
        "tidegate"
    )
    alarms_per_series_day: Annotated[float, _key("false alarms a series may give per day", gt=0)] = 1 / 7
    params: Annotated[dict[str, Any], _key("parameters of the model")] = EMPTY
    budget_ms: Annotated[
        float, _key("CPU time per sample that a series' River model may take; slower ones skip samples", gt=0)
    ] = 5.0
    similar_by: Annotated[
        tuple[str, ...] | None,
        _key("labels: series of one metric that agree in them are similar; absent: none are"),
    ] = None
    group_by: Annotated[
        tuple[str, ...], _key("labels: series that agree in them are also watched together; empty: none are")
    ] = ()
    group_model: Annotated[str, _key("the River detector that watches a group, as river.anomaly.Class")] = (
        "river.anomaly.HalfSpaceTrees"
    )
    group_params: Annotated[dict[str, Any], _key("parameters of group_model")] = EMPTY


class StateConfig(Section, frozen=True, kw_only=True):
    """How models are made durable."""

    checkpoint_s: Annotated[float, _key("state is written and offsets committed at least so often", gt=0)] = (
        5.0
    )
    write_mib_s: Annotated[
        float, _key("state is written no faster than this many MiB per second, lest samples wait", gt=0)
    ] = 32.0
    evict_after_hours: Annotated[
        float, _key("a series silent so long leaves memory; its state waits on disk", gt=0)
    ] = 24.0
    block_rows: Annotated[int, _key("series per block of the changelog", ge=1, le=65_536)] = 256
    key_env: Annotated[str, _key("environment variable with the key that signs pickled River models")] = (
        "TIDEGATE_STATE_KEY"
    )


class TelemetryConfig(Section, frozen=True, kw_only=True):
    """Prometheus metrics and the console."""

    host: Annotated[str, _key("address that the console and /metrics bind to")] = "127.0.0.1"
    port: Annotated[int, _key("port of the console and /metrics; 0 picks a free one", ge=0, le=65_535)] = (
        8_080
    )


class GuardsConfig(Section, frozen=True, kw_only=True):
    """How much may change within a window, whatever the planners ask for; beyond it commands are refused."""

    window_s: Annotated[float, _key("the window, in seconds", gt=0)] = 300.0
    max_targets: Annotated[Count | None, _key("targets that may be changed; absent: any")] = None
    max_share: Annotated[
        Positive | None, _key("share of all targets' replicas that may be changed; absent: any")
    ] = None
    max_up_factor: Annotated[Positive | None, _key("a target grows at most to so many times its count")] = (
        None
    )
    max_down_share: Annotated[Positive | None, _key("a target loses at most this share of its replicas")] = (
        None
    )


class FeaturesConfig(Section, frozen=True, kw_only=True):
    """Where it is said which of the pipeline's own new features are on."""

    from_flags: Annotated[
        bool, _key("by the flags `tidegate.FEATURE` on the topic `flags` (extra `flags`); else as built in")
    ] = False


class ActuatorConfig(Section, frozen=True, kw_only=True):
    """A platform that commands act on."""

    kind: Annotated[str, _key("`noop`, `webhook`, ...; `tidegate check` lists the known ones")]
    dry_run: Annotated[bool, _key("say what would be done, do nothing")] = False
    params: Annotated[dict[str, Any], _key("parameters of the platform")] = EMPTY


class LoadConfig(Section, frozen=True, kw_only=True):
    """A further load of a target, scaled on like the first one; the largest need wins."""

    metric: Annotated[str, _key("metric whose sum over the target's series is this load", min_length=1)]
    capacity: Annotated[
        float | None, _key("of this load, what one replica serves; absent: learnt, as for the first")
    ] = None


class TargetConfig(Section, frozen=True, kw_only=True):
    """A service that is scaled and whose releases are watched."""

    name: Annotated[str, _key("name of the target, the key of its commands", min_length=1)]
    labels: Annotated[dict[str, str], _key("a series with these labels belongs to the target")] = EMPTY
    actuator: Annotated[str, _key("name of the [actuators.NAME] table that acts on it")] = "noop"
    load: Annotated[str | None, _key("metric whose sum over the target's series is its load")] = None
    replicas: Annotated[str | None, _key("metric that tells the current replicas")] = None
    loads: Annotated[dict[str, LoadConfig], _key("further loads, by a name of your choice")] = {}
    backlog: Annotated[
        str | None, _key("metric whose sum is what waits in its queue; `drain_s` says how fast it is to go")
    ] = None
    saturation: Annotated[
        str | None, _key("metric that tells how busy its replicas are; capacity is learnt from it")
    ] = None
    interval_s: Annotated[float, _key("shortest time between two decisions, in seconds", gt=0)] = 15.0
    cooldown_s: Annotated[float, _key("shortest time between two actions of a kind, in seconds", ge=0)] = 0.0
    command_ttl_s: Annotated[float, _key("a command older than this is not executed, in seconds", gt=0)] = (
        300.0
    )
    min_serving: Annotated[int, _key("the hands never take it below so many replicas", ge=0)] = 0
    scale: Annotated[ScaleConfig | None, _key("how it is scaled; absent: never")] = None
    mode: Annotated[
        Mode,
        _key("act; shadow: commands end as dry-run and are scored; cluster: `tidegate optimise` decides"),
    ] = "act"
    prices: Annotated[Prices | None, _key("what a replica costs; absent: scale.price, all on demand")] = None
    priority: Annotated[int, _key("in mode cluster: higher ones are served first")] = 0
    uses: Annotated[
        dict[str, Positive], _key("in mode cluster: what a replica takes of each capacity of [cluster]")
    ] = {}
    budget_per_month: Annotated[
        float | None, _key("most that the replicas may cost in a calendar month (UTC); alerts before")
    ] = None
    contest: Annotated[
        ContestConfig | None, _key("two models of its forecast beside each other; absent: the ensemble alone")
    ] = None
    release: Annotated[
        JudgeConfig | None, _key("how its releases are judged, `metrics` by metric name; absent: never")
    ] = None
    canary: Annotated[
        CanaryPlan | None, _key("the steps of its canaries; absent: judged at the share they came with")
    ] = None
    rollbacks: Annotated[HistoryConfig, _key("when rollbacks stop being the answer")] = HistoryConfig()

    def scales(self) -> dict[str, ScaleConfig]:
        """How it is scaled, by the role of each load; nothing where it is not."""
        if self.scale is None:
            return {}
        further = {
            f"load:{name}": msgspec.structs.replace(self.scale, capacity=load.capacity, drain_s=None)
            for name, load in self.loads.items()
        }
        return {"load": self.scale, **further}


class Config(Section, frozen=True, kw_only=True):
    """The whole file."""

    kafka: Annotated[KafkaConfig, _key("Kafka")] = KafkaConfig()
    ledger: Annotated[LedgerConfig, _key("the command ledger")] = LedgerConfig()
    ingest: Annotated[IngestConfig, _key("limits of the input")] = IngestConfig()
    detector: Annotated[DetectorConfig, _key("anomaly detection")] = DetectorConfig()
    alerts: Annotated[AlertConfig, _key("alert lifecycle")] = AlertConfig()
    state: Annotated[StateConfig, _key("durable state")] = StateConfig()
    telemetry: Annotated[TelemetryConfig, _key("metrics and console")] = TelemetryConfig()
    guards: Annotated[GuardsConfig, _key("blast radius")] = GuardsConfig()
    signing: Annotated[SigningConfig, _key("signed commands")] = SigningConfig()
    serve: Annotated[ServeConfig, _key("what other autoscalers may ask")] = ServeConfig()
    receive: Annotated[ReceiveConfig, _key("what `tidegate receive` takes over HTTP and gRPC")] = (
        ReceiveConfig()
    )
    features: Annotated[FeaturesConfig, _key("new features of the pipeline")] = FeaturesConfig()
    cluster: Annotated[ClusterConfig, _key("what the targets in mode cluster share")] = ClusterConfig()
    actuators: Annotated[dict[str, ActuatorConfig], _key("platforms, by a name of your choice")] = EMPTY
    targets: Annotated[tuple[TargetConfig, ...], _key("services that are acted on")] = ()
