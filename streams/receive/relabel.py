"""Relabelling as Prometheus does it: a list of steps that rewrite, keep or drop a label set."""

import hashlib
import re
from collections.abc import Sequence

from streams.config import ConfigError
from streams.config.receive import RelabelConfig

_GROUP = re.compile(r"\$(?:(\d+|\w+)|\{(\w+)\})")
_NEEDS_TARGET = {"replace", "keepequal", "dropequal", "hashmod", "lowercase", "uppercase"}


class Relabelling:
    """The steps of a configuration; apply them with a call.

    >>> steps = Relabelling([RelabelConfig(action="labeldrop", regex="pod_.*")])
    >>> steps({"__name__": "up", "pod_id": "x"})
    {'__name__': 'up'}
    """

    def __init__(self, rules: Sequence[RelabelConfig]) -> None:
        """Compile the steps.

        Raises:
            ConfigError: a regular expression or a replacement cannot be used, or a target label is missing.
        """
        self._steps = [(rule, *_compiled(number, rule)) for number, rule in enumerate(rules)]

    def __call__(self, labels: dict[str, str]) -> dict[str, str] | None:
        """The labels after all steps, without empty ones; None where a step drops the series."""
        for rule, regex, replacement in self._steps:
            kept = _step(rule, regex, replacement, labels)
            if kept is None:
                return None
            labels = kept
        return {name: value for name, value in labels.items() if value}


def _compiled(number: int, rule: RelabelConfig) -> tuple[re.Pattern[str], str]:
    where = f"receive.relabel[{number}]"
    if rule.action in _NEEDS_TARGET and not rule.target_label:
        raise ConfigError(f"{where}: the action {rule.action} needs target_label")
    try:
        regex = re.compile(rule.regex)
    except re.error as error:
        raise ConfigError(f"{where}.regex: {error}") from error
    literal = rule.replacement.replace("\\", "\\\\")
    replacement = _GROUP.sub(lambda found: rf"\g<{found[1] or found[2]}>", literal)
    try:
        re.compile(f"(?:{rule.regex})|").match("")
        re.sub(regex, lambda found: found.expand(replacement), "")
    except (re.error, IndexError) as error:
        raise ConfigError(f"{where}.replacement: {error}") from error
    return regex, replacement


def _step(  # noqa: PLR0911 - one for each action
    rule: RelabelConfig, regex: re.Pattern[str], replacement: str, labels: dict[str, str]
) -> dict[str, str] | None:
    source = rule.separator.join(labels.get(name, "") for name in rule.source_labels)
    target = rule.target_label or ""
    match rule.action:
        case "keep":
            return labels if regex.fullmatch(source) else None
        case "drop":
            return None if regex.fullmatch(source) else labels
        case "keepequal":
            return labels if labels.get(target, "") == source else None
        case "dropequal":
            return None if labels.get(target, "") == source else labels
        case "labeldrop":
            return {name: value for name, value in labels.items() if not regex.fullmatch(name)}
        case "labelkeep":
            return {name: value for name, value in labels.items() if regex.fullmatch(name)}
        case "labelmap":
            mapped = ((regex.fullmatch(name), value) for name, value in labels.items())
            return labels | {found.expand(replacement): value for found, value in mapped if found}
        case "replace":
            found = regex.fullmatch(source)
            return labels | {found.expand(_no_empty(target)): found.expand(replacement)} if found else labels
        case "hashmod":
            digest = hashlib.md5(source.encode(), usedforsecurity=False).digest()
            return labels | {target: str(int.from_bytes(digest[8:], "big") % rule.modulus)}
        case "lowercase":
            return labels | {target: source.lower()}
        case "uppercase":
            return labels | {target: source.upper()}


def _no_empty(target: str) -> str:
    return _GROUP.sub(lambda found: rf"\g<{found[1] or found[2]}>", target.replace("\\", "\\\\"))
