"""The contract with producers and consumers: JSON Schema of each message, AsyncAPI of all topics."""

from typing import Any

import msgspec

from schemas import (
    Alert,
    Anomaly,
    Command,
    Cost,
    DeadLetter,
    Deployment,
    Feedback,
    Flag,
    Forecast,
    Incident,
    KnownEvent,
    MaintenanceWindow,
    ModelVersion,
    Outcome,
    ReleaseChange,
    ReleaseOrder,
    Sample,
    SchemaError,
    Silence,
)

ASYNCAPI = "3.0.0"

MESSAGES: dict[str, type[msgspec.Struct]] = {
    "sample": Sample,
    "deployment": Deployment,
    "maintenance": MaintenanceWindow,
    "silence": Silence,
    "feedback": Feedback,
    "release-order": ReleaseOrder,
    "known-event": KnownEvent,
    "anomaly": Anomaly,
    "alert": Alert,
    "incident": Incident,
    "forecast": Forecast,
    "command": Command,
    "outcome": Outcome,
    "release-change": ReleaseChange,
    "cost": Cost,
    "flag": Flag,
    "model-version": ModelVersion,
    "deadletter": DeadLetter,
}

# Topic: (messages, key, direction as Tidegate sees it).
TOPICS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "metrics": (("sample",), "the series", "receive"),
    "events": (
        ("deployment", "maintenance", "silence", "feedback", "release-order", "known-event"),
        "the target, the silence's id, or the series",
        "receive",
    ),
    "anomalies": (("anomaly",), "the series", "send"),
    "alerts": (("alert", "incident"), "the fingerprint", "send"),
    "forecasts": (("forecast",), "the target", "send"),
    "commands": (("command",), "the target", "send"),
    "outcomes": (("outcome",), "the target", "send"),
    "models": (("model-version",), "the version", "send"),
    "flags": (("flag",), "the flag", "send"),
    "releases": (("release-change",), "the target", "send"),
    "costs": (("cost",), "the target", "send"),
    "dead-letters": (("deadletter",), "the topic that the record came from", "send"),
}


def json_schema(name: str) -> dict[str, Any]:
    """JSON Schema (2020-12) of the message `name`.

    Raises:
        SchemaError: there is no such message; the text lists the known ones.
    """
    if name not in MESSAGES:
        raise SchemaError(f"no message `{name}`; known: {', '.join(sorted(MESSAGES))}, asyncapi")
    schema = msgspec.json.schema(MESSAGES[name])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def asyncapi() -> dict[str, Any]:
    """An AsyncAPI 3 document of all topics."""
    _, components = msgspec.json.schema_components(
        MESSAGES.values(), ref_template="#/components/schemas/{name}"
    )
    channels = {
        topic: {
            "address": topic,
            "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
            "bindings": {"kafka": {"topic": topic}},
        }
        for topic, (names, _, _) in TOPICS.items()
    }
    operations = {
        f"{direction}-{topic}": {"action": direction, "channel": {"$ref": f"#/channels/{topic}"}}
        for topic, (_, _, direction) in TOPICS.items()
    }
    keys = {name: key for names, key, _ in TOPICS.values() for name in names}
    messages = {
        name: {
            "name": name,
            "contentType": "application/json",
            "payload": {"$ref": f"#/components/schemas/{kind.__name__}"},
            "bindings": {"kafka": {"key": {"type": "string", "description": keys[name]}}},
        }
        for name, kind in MESSAGES.items()
    }
    return {
        "asyncapi": ASYNCAPI,
        "info": {"title": "Tidegate", "version": "1", "description": "What travels on Tidegate's topics."},
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": components},
    }


def contract(name: str | None = None) -> str:
    """JSON text: of one message's schema, of the AsyncAPI document (`asyncapi`), or of everything.

    Raises:
        SchemaError: there is no message `name`.
    """
    if name is None:
        content = {"messages": {each: json_schema(each) for each in MESSAGES}, "asyncapi": asyncapi()}
    else:
        content = asyncapi() if name == "asyncapi" else json_schema(name)
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode()
