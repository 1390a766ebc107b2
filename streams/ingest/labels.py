"""Which metric and label names are accepted, and the way back from a series key to its parts."""

import re
from collections.abc import Mapping
from functools import lru_cache

from schemas import SchemaError
from streams.ingest.limits import Limits

# What would make two different series share one key, or a key unreadable.
_ILLEGAL = re.compile(r'[\x00-\x1f\x7f-\x9f{}="\\,]')
_PAIR = re.compile(r'([^=]+)="((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(.)")


def refusal(metric: str, labels: Mapping[str, str], limits: Limits) -> tuple[str, str] | None:
    """Why this label set is absurd, as (path below the sample, reason); None where it is fine.

    >>> refusal("cpu", {"host": "a"}, Limits())
    >>> refusal("", {}, Limits())
    ('.metric', 'Expected a metric name of 1 to 255 characters, got 0')
    """
    if fault := _name_fault(metric, limits.max_metric):
        return ".metric", f"Expected a metric name {fault}"
    if len(labels) > limits.max_labels:
        return ".labels", f"Expected at most {limits.max_labels} labels, got {len(labels)}"
    for name, value in labels.items():
        if fault := _name_fault(name, limits.max_label_name):
            return f".labels.{name[:64]}", f"Expected a label name {fault}"
        if len(value) > limits.max_label_value:
            limit = f"at most {limits.max_label_value} characters"
            return f".labels.{name}", f"Expected a label value of {limit}, got {len(value)}"
    return None


@lru_cache(maxsize=4096)
def _name_fault(name: str, longest: int) -> str | None:
    if not 1 <= len(name) <= longest:
        return f"of 1 to {longest} characters, got {len(name)}"
    if found := _ILLEGAL.search(name):
        return f'without control characters and {{ }} = " \\ , got {found.group()!r} in {name!r}'
    return None


def parse_key(key: str) -> tuple[str, dict[str, str]]:
    r"""Metric and labels of a series key, the inverse of `schemas.series_key` for accepted names.

    >>> parse_key('up{job="a \\"b\\"",zone="c"}')
    ('up', {'job': 'a "b"', 'zone': 'c'})

    Raises:
        SchemaError: the text is not a series key.
    """
    metric, brace, rest = key.partition("{")
    labels: dict[str, str] = {}
    if not brace:
        return metric, labels
    place = 0
    while found := _PAIR.match(rest, place):
        labels[found[1]] = _ESCAPE.sub(_unescape, found[2]) if "\\" in found[2] else found[2]
        place = found.end()
        if rest[place : place + 1] != ",":
            break
        place += 1
    if rest[place:] != "}":
        raise SchemaError(f'expected a series key such as up{{job="a"}}, got {key!r}')
    return metric, labels


def _unescape(found: re.Match[str]) -> str:
    return "\n" if found[1] == "n" else found[1]
