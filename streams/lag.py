"""How far a worker is behind: records that are in its partitions and not yet acknowledged."""

from collections.abc import Iterator
from typing import cast

import faust

from streams.transport import Consumer, Transport


def unread(app: faust.App) -> Iterator[tuple[str, int, int]]:
    """Topic, partition and unacknowledged records of each batch partition that the worker reads now.

    Counted against the end that the broker told with the last fetch; a partition that nothing was
    fetched from yet is left out. Input is acknowledged at checkpoints, so that a worker that keeps up
    still shows what came since the last one.
    """
    transport = cast(Transport, app.transport)
    consumer = cast(Consumer, app.consumer)
    for tp in consumer.assignment():
        if tp.topic in transport.batch_topics:
            end = consumer.highwater(tp)
            # Faust keeps it up to date from the seek at assignment on, but has no public name for it.
            # None: the group has never committed here, and everything is unread.
            committed = consumer._committed_offset.get(tp) or 0
            if end is not None:
                yield tp.topic, tp.partition, max(0, end - committed)
