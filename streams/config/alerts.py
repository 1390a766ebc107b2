"""Keys of the configuration about alerts: their lifecycle, rules, incidents, and who is told."""

from typing import Annotated, Literal

import msgspec

from schemas.alert import Severity
from streams.config.section import EMPTY, Positive, Section, key

TOPIC = "topic"  # the receiver that is always there: the topic `alerts`

NotNegative = Annotated[float, msgspec.Meta(ge=0)]
AtLeastTwo = Annotated[int, msgspec.Meta(ge=2)]
Matchers = Annotated[
    tuple[str, ...],
    key('all must fit, like `service="checkout"`, `rack=~"r[12]"`; also on `metric`, `target`, `kind`'),
]


class AlertRule(Section, frozen=True, kw_only=True):
    """What is different for the series that match; a key that is absent is that of [alerts]."""

    matchers: Matchers = ()
    for_s: Annotated[NotNegative | None, key("as in [alerts]")] = None
    resolve_after_s: Annotated[Positive | None, key("as in [alerts]")] = None
    flap_window_s: Annotated[Positive | None, key("as in [alerts]")] = None
    flap_limit: Annotated[AtLeastTwo | None, key("as in [alerts]")] = None
    no_data_s: Annotated[NotNegative | None, key("as in [alerts]")] = None
    severity: Annotated[Severity | None, key("as in [alerts]")] = None
    runbook: Annotated[str | None, key("as in [alerts]")] = None
    annotations: Annotated[dict[str, str], key("added to those of [alerts]")] = EMPTY


class IncidentConfig(Section, frozen=True, kw_only=True):
    """Which alerts are one incident, and what depends on what."""

    group_by: Annotated[
        tuple[str, ...],
        key("labels whose values make a group; series without any of them are grouped by their target"),
    ] = ()
    window_s: Annotated[float, key("an alert so long after the last change belongs to it", gt=0)] = 600.0
    node: Annotated[str, key("label that places a series in the topology; else its target does")] = "service"
    depends_on: Annotated[dict[str, tuple[str, ...]], key("what each node depends on, by node")] = EMPTY


class ReceiverConfig(Section, frozen=True, kw_only=True):
    """Somebody who is told of what fires and resolves."""

    kind: Annotated[Literal["alertmanager", "webhook"], key("`alertmanager` or `webhook`")]
    url: Annotated[str, key("of Alertmanager's root, or that is posted to")] = ""
    url_env: Annotated[str | None, key("environment variable that replaces url")] = None
    wait_s: Annotated[float, key("a new incident gathers its alerts so long before it is told", ge=0)] = 5.0
    resend_s: Annotated[float, key("what fires is told Alertmanager again so often", gt=0)] = 60.0
    expire_s: Annotated[float, key("Alertmanager resolves what it is not told for so long", gt=0)] = 240.0
    timeout_s: Annotated[float, key("how long an answer may take", gt=0)] = 10.0


class Route(Section, frozen=True, kw_only=True):
    """Who is told of the alerts that match; the first route that does counts."""

    matchers: Matchers = ()
    receivers: Annotated[tuple[str, ...], key("names of receivers; `topic` is the topic `alerts`")] = (TOPIC,)


class AlertConfig(Section, frozen=True, kw_only=True):
    """When an anomaly becomes an alert, and when it ends. Times are event times."""

    for_s: Annotated[float, key("pending so long before it fires, in seconds", ge=0)] = 0.0
    resolve_after_s: Annotated[float, key("quiet so long before it resolves, in seconds", gt=0)] = 900.0
    flap_window_s: Annotated[float, key("window in which firings are counted, in seconds", gt=0)] = 14_400.0
    flap_limit: Annotated[int, key("firings within the window from which the alert is flapping", ge=2)] = 4
    no_data_s: Annotated[
        float, key("a series silent so long is an alert of its own, in seconds; 0: never", ge=0)
    ] = 0.0
    severity: Annotated[Severity, key("info, warning or critical")] = "warning"
    runbook: Annotated[str | None, key("link that alerts carry")] = None
    annotations: Annotated[dict[str, str], key("texts that alerts carry, by a name of your choice")] = EMPTY
    rules: Annotated[tuple[AlertRule, ...], key("for some series; the first that fits")] = ()
    incidents: Annotated[IncidentConfig, key("which alerts are one incident")] = IncidentConfig()
    receivers: Annotated[dict[str, ReceiverConfig], key("who is told, by a name of your choice")] = EMPTY
    routes: Annotated[
        tuple[Route, ...], key("who is told of what; alerts that fit none are on the topic alone")
    ] = ()


def over(base: AlertConfig, rule: AlertRule) -> AlertConfig:
    """`base` with what the rule says."""
    given = {
        field: value
        for field in (
            "for_s",
            "resolve_after_s",
            "flap_window_s",
            "flap_limit",
            "no_data_s",
            "severity",
            "runbook",
        )
        if (value := getattr(rule, field)) is not None
    }
    return msgspec.structs.replace(base, **given, annotations=base.annotations | rule.annotations)
