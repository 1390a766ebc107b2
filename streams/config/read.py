"""Reading the configuration file, with errors that say what to do."""

import difflib
import re
import tomllib
import typing
from pathlib import Path
from typing import Any

import msgspec

from detectors.forecasting.seasonal import ENSEMBLE, MODELS
from streams.config.alerts import TOPIC, AlertConfig
from streams.config.keys import Config, TargetConfig
from streams.matching import MatcherError, parse_matchers

BUILT_IN_ACTUATOR = "noop"


class ConfigError(ValueError):
    """The configuration cannot be used; the text names the file, the key and the way out."""


def read(path: Path) -> Config:
    """Read and validate the TOML file at `path`.

    Raises:
        ConfigError: it is absent, not TOML, or has a key or value that does not fit.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text") from error
    return parse(text, str(path))


def parse(text: str, origin: str = "configuration") -> Config:
    """Validate the TOML `text`; `origin` names it in errors.

    >>> parse("[kafka]\\npartition = 4")
    Traceback (most recent call last):
    ...
    streams.config.read.ConfigError: configuration: kafka: unknown key `partition`; did you mean `partitions`?
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{origin}: is not TOML: {error}") from error
    try:
        config = msgspec.convert(data, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{origin}: {_explain(str(error))}") from error
    problems = list(_cross_check(config))
    if problems:
        raise ConfigError(f"{origin}: " + "; ".join(problems))
    return config


def _cross_check(config: Config) -> typing.Iterator[str]:
    names = [target.name for target in config.targets]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"targets: two targets are named `{name}`; names are unique"
    yield from _alerts(config.alerts)
    known = [*config.actuators, BUILT_IN_ACTUATOR]
    for target in config.targets:
        if target.actuator not in known:
            yield (
                f"targets.{target.name}.actuator: no [actuators.{target.actuator}] table; "
                f"known: {', '.join(sorted(known))}"
            )
        yield from _check_contest(target)
        if target.scale is not None and target.load is None:
            yield f"targets.{target.name}.load: is needed to scale; name the metric that is its load"
        used = [target.load, target.replicas, target.backlog, target.saturation]
        metrics = [metric for metric in used if metric] + [load.metric for load in target.loads.values()]
        for metric in sorted({metric for metric in metrics if metrics.count(metric) > 1}):
            yield f"targets.{target.name}: metric `{metric}` is named twice; each has one role"
        for resource in sorted(set(target.uses) - set(config.cluster.capacity)):
            shared = ", ".join(config.cluster.capacity) or "none"
            yield f"targets.{target.name}.uses.{resource}: is not in [cluster.capacity]; known: {shared}"
        if target.mode == "cluster" and target.scale is not None and target.scale.capacity is None:
            yield f"targets.{target.name}.scale.capacity: is needed in mode cluster"
        if target.mode != "act" and target.replicas is None:
            yield (
                f"targets.{target.name}.replicas: is needed in mode {target.mode}; "
                "name the metric that tells what the platform runs"
            )


def _alerts(alerts: AlertConfig) -> typing.Iterator[str]:
    for table in ("rules", "routes"):
        for number, each in enumerate(getattr(alerts, table)):
            try:
                parse_matchers(each.matchers)
            except MatcherError as error:
                yield f"alerts.{table}[{number}].matchers: {error}"
    receivers = [*alerts.receivers, TOPIC]
    for number, route in enumerate(alerts.routes):
        for name in (name for name in route.receivers if name not in receivers):
            yield (
                f"alerts.routes[{number}].receivers: no [alerts.receivers.{name}] table; "
                f"known: {', '.join(sorted(receivers))}"
            )
    for name, receiver in alerts.receivers.items():
        if not receiver.url and receiver.url_env is None:
            yield f"alerts.receivers.{name}: needs the key `url`, or `url_env`"
        if receiver.expire_s < 2 * receiver.resend_s:
            yield f"alerts.receivers.{name}.expire_s: must be twice resend_s at least, or what fires expires"
    if TOPIC in alerts.receivers:
        yield f"alerts.receivers.{TOPIC}: this name is taken by the topic `alerts`"


def _check_contest(target: TargetConfig) -> typing.Iterator[str]:
    contest, scale = target.contest, target.scale
    if contest is None:
        return
    if scale is None:
        yield f"targets.{target.name}.contest: needs a [targets.scale] table, whose forecasts are compared"
        return
    known = (*MODELS, *scale.members, ENSEMBLE)
    for model in (contest.champion, contest.challenger):
        if model not in known:
            yield f"targets.{target.name}.contest: no model `{model}`; known: {', '.join(known)}"


def _explain(message: str) -> str:
    """Turn a validation error of msgspec into one that speaks of TOML keys."""
    text, _, path = message.partition(" - at `$")
    where = path.rstrip("`").strip(".") or "top level"
    unknown = re.search(r"unknown field `([^`]*)`", text)
    if not unknown:
        missing = re.search(r"missing required field `([^`]*)`", text)
        return f"{where}: needs the key `{missing.group(1)}`" if missing else f"{where}: {_lower(text)}"
    key = unknown.group(1)
    known = _keys_at(Config, re.findall(r"[^.\[\]]+|\[[^\]]*\]", path.rstrip("`")))
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    hint = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(sorted(known))}"
    return f"{where}: unknown key `{key}`; {hint}"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _keys_at(kind: Any, steps: list[str]) -> list[str]:
    """Names of the keys known at the place that `steps` lead to from `kind`."""
    kind = bare(kind)
    if not steps:
        return list(kind.__struct_fields__) if hasattr(kind, "__struct_fields__") else []
    step, rest = steps[0], steps[1:]
    if step.startswith("["):  # an element of a list or of a mapping
        inner = [each for each in typing.get_args(kind) if each is not ...]
        return _keys_at(inner[-1], rest) if inner else []
    hints = typing.get_type_hints(kind) if hasattr(kind, "__struct_fields__") else {}
    return _keys_at(hints[step], rest) if step in hints else []


def bare(kind: Any) -> Any:
    """The type itself, without Annotated and without `| None`."""
    while typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    options = [option for option in typing.get_args(kind) if option is not type(None)]
    if typing.get_origin(kind) in (typing.Union, type(int | None)) and len(options) == 1:
        return bare(options[0])
    return kind
