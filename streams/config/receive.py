"""Keys of `[receive]`: what producers may push, and what it becomes."""

from typing import Annotated, Literal

from streams.config.section import Count, Port, Positive, Section, TlsConfig
from streams.config.section import key as _key

Relabelling = Literal[
    "replace",
    "keep",
    "drop",
    "keepequal",
    "dropequal",
    "labelmap",
    "labeldrop",
    "labelkeep",
    "hashmod",
    "lowercase",
    "uppercase",
]


class RelabelConfig(Section, frozen=True, kw_only=True):
    """One step of relabelling, as Prometheus does it."""

    action: Annotated[Relabelling, _key("as in Prometheus's relabel_config")] = "replace"
    source_labels: Annotated[
        tuple[str, ...], _key("labels whose values are joined; `__name__` is the metric")
    ] = ()
    separator: Annotated[str, _key("between the joined values")] = ";"
    regex: Annotated[str, _key("must match the whole; groups are `$1`, `${name}`")] = "(.*)"
    modulus: Annotated[int, _key("for hashmod", ge=1)] = 1
    target_label: Annotated[str | None, _key("label that is written")] = None
    replacement: Annotated[str, _key("what is written")] = "$1"


class TenantConfig(Section, frozen=True, kw_only=True):
    """Who may push, how much, and which labels its samples get."""

    name: Annotated[str, _key("name in metrics and logs", min_length=1)]
    token: Annotated[
        str, _key("bearer token: `${NAME}` from the environment or `${file:PATH}`, never the token itself")
    ]
    labels: Annotated[dict[str, str], _key("put on every sample, over what the producer says")] = {}
    samples_per_s: Annotated[Positive | None, _key("beyond it the answer is 429; absent: no limit")] = None
    max_series: Annotated[Count | None, _key("in place of receive.max_series")] = None


class ReceiveConfig(Section, frozen=True, kw_only=True):
    """The receiver: Prometheus remote write and OTLP metrics, over HTTP, gRPC and Kafka."""

    host: Annotated[
        str, _key("address to listen on; beyond loopback only with tenants or client certificates")
    ] = "127.0.0.1"
    port: Annotated[Port, _key("HTTP: /api/v1/write, /v1/metrics, /metrics, /healthz; 0: free")] = 9_201
    grpc_port: Annotated[Port | None, _key("OTLP over gRPC; 0 picks a free one; absent: not served")] = None
    tls: Annotated[TlsConfig | None, _key("TLS of both ports; absent: none")] = None
    tenants: Annotated[tuple[TenantConfig, ...], _key("who may push; absent: anyone")] = ()
    otlp_topics: Annotated[
        tuple[str, ...], _key("topics with OTLP records (protobuf or JSON) to take in too")
    ] = ()
    max_body_mb: Annotated[float, _key("largest request, decompressed; beyond it 413", gt=0)] = 16.0
    max_in_flight_mb: Annotated[
        float, _key("decompressed bytes not yet in Kafka; beyond it 503, and producers retry", gt=0)
    ] = 64.0
    kafka_timeout_s: Annotated[
        float, _key("records not in Kafka within this time are answered 503", gt=0)
    ] = 20.0
    max_series: Annotated[int, _key("live series of a tenant; new ones beyond are refused", ge=1)] = 1_000_000
    max_labels: Annotated[int, _key("labels of a series", ge=1)] = 64
    max_label_name: Annotated[int, _key("characters of a label's name", ge=1)] = 128
    max_label_value: Annotated[int, _key("characters of a label's value", ge=1)] = 1_024
    forget_after_s: Annotated[float, _key("a series silent so long no longer counts", gt=0)] = 3_600.0
    counters: Annotated[
        Literal["rate", "raw", "both"],
        _key("counters become `NAME_per_second` (`_total` dropped), stay, or both"),
    ] = "rate"
    histograms: Annotated[
        Literal["quantiles", "raw", "both"], _key("bucket series become quantiles, stay, or both")
    ] = "quantiles"
    quantiles: Annotated[tuple[float, ...], _key("quantiles of histograms, each in (0, 1)")] = (
        0.5,
        0.95,
        0.99,
    )
    resource_attributes: Annotated[tuple[str, ...], _key("OTLP resource attributes that become labels")] = (
        "service.name",
        "service.namespace",
        "service.instance.id",
        "deployment.environment.name",
    )
    relabel: Annotated[tuple[RelabelConfig, ...], _key("applied to each series before all else")] = ()
