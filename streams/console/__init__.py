"""The web console: recent history in memory, served as a page, a stream of events, JSON and metrics."""

from streams.console.feed import Feed, Subscription
from streams.console.part import Part
from streams.console.server import Console, ConsoleError

__all__ = ["Console", "ConsoleError", "Feed", "Part", "Subscription"]
