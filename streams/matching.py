"""Matchers on labels, in Alertmanager's notation: `name="value"` with `=`, `!=`, `=~` or `!~`."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

_NOTATION = re.compile(
    r"\s*([^\s=!~\"]+)\s*(=~|!~|!=|=)\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^\"\s=].*?)?)\s*\Z", re.DOTALL
)


class MatcherError(ValueError):
    """A text is no matcher; it says which and what is expected."""


class Matcher(NamedTuple):
    """One condition on a label; a label that is absent has the value ""."""

    name: str
    operator: str
    pattern: re.Pattern[str]

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether `labels` fulfil it."""
        return (self.pattern.fullmatch(labels.get(self.name, "")) is not None) == (self.operator[0] == "=")


def parse_matcher(text: str) -> Matcher:
    """The matcher that `text` says; quotes may be left out.

    >>> parse_matcher('service=~"check.*"').matches({"service": "checkout"})
    True
    >>> parse_matcher("rack!=r7").matches({"rack": "r7"})
    False

    Raises:
        MatcherError: it says none.
    """
    found = _NOTATION.match(text)
    if found is None:
        raise MatcherError(f'matcher {text!r}: expected name="value" with =, !=, =~ or !~')
    name, operator, quoted, bare = found.groups()
    value = re.sub(r"\\([\"\\])", r"\1", quoted) if quoted is not None else bare or ""
    try:
        return Matcher(name, operator, re.compile(value if "~" in operator else re.escape(value), re.DOTALL))
    except re.error as error:
        raise MatcherError(f"matcher {text!r}: no regular expression: {error}") from error


def parse_matchers(texts: Iterable[str]) -> tuple[Matcher, ...]:
    """All of `texts`.

    Raises:
        MatcherError: one of them says no matcher.
    """
    return tuple(parse_matcher(text) for text in texts)


def matches(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Whether `labels` fulfil all matchers."""
    return all(matcher.matches(labels) for matcher in matchers)
