"""Keys of `[serve]`: what autoscalers of other makes may ask."""

from typing import Annotated

from streams.config.section import Port, Section, TlsConfig
from streams.config.section import key as _key


class ServeConfig(Section, frozen=True, kw_only=True):
    """`tidegate serve-keda` and `tidegate serve-external-metrics`."""

    host: Annotated[str, _key("address to listen on")] = "127.0.0.1"
    keda_port: Annotated[Port, _key("gRPC port of the KEDA external scaler; 0 picks a free one")] = 9_202
    metrics_port: Annotated[Port, _key("HTTPS port of the external metrics API; 0 picks a free one")] = 9_203
    tls: Annotated[TlsConfig | None, _key("TLS; the external metrics API needs it")] = None
    client_names: Annotated[
        tuple[str, ...],
        _key("common names of clients that may ask, with tls.client_ca_file; empty: all of it"),
    ] = ()
    stale_s: Annotated[
        float, _key("a target of which nothing was heard for so long gets an error, not a number", gt=0)
    ] = 900.0
    quantile: Annotated[
        float, _key("quantile of the load that is told unless another is asked for", gt=0, lt=1)
    ] = 0.9
