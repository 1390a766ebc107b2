"""Who wrote a block: what an owner that has been deposed writes late displaces nothing.

A worker that stalls beyond its session, and wakes when others have its partitions, still writes what it had
under way. So each owner of a partition begins with a record of its own in the changelog; that record's offset
is its epoch, larger than that of all before it, and part of the key of every block it writes. Of several
records of one block the one of the highest epoch counts, wherever it stands in the log. Compaction cannot
interfere: the keys differ. Records that are outdone in this way are stale; the owner removes them.
"""

OWNER = b"owner"
"""Key of the record that an owner begins with; its value says nothing."""

_MARK = b":"


def tagged(epoch: int, key: bytes) -> bytes:
    """The key under which the block `key` stands in the changelog, where the owner of `epoch` wrote it."""
    return b"%d%b%b" % (epoch, _MARK, key)


def untagged(raw: bytes) -> tuple[int, bytes]:
    """Epoch and block key of a key in the changelog.

    Raises:
        ValueError: it is not the key of a block.
    """
    epoch, mark, key = raw.partition(_MARK)
    if not mark:
        raise ValueError(f"{raw!r} in the changelog: expected EPOCH:KEY")
    return int(epoch), key


class Newest:
    """The blocks of one partition's changelog, as its records, taken in their order, build them up.

    `stale` has the keys in the changelog, whole, of records that a higher epoch has outdone.
    """

    def __init__(self) -> None:
        self.blocks: dict[bytes, bytes] = {}
        self.stale: set[bytes] = set()
        self._epochs: dict[bytes, int] = {}

    def apply(self, raw: bytes, value: bytes | None) -> None:
        """Take over one record of the changelog.

        Raises:
            ValueError: its key is not one.
        """
        if raw == OWNER:
            return
        epoch, key = untagged(raw)
        known = self.epoch(key)
        if value is None:
            self.stale.discard(raw)
            if known == epoch:
                self._remove(key)
        elif known is not None and known > epoch:
            self.stale.add(raw)
        else:
            self.put(key, epoch, value)

    def put(self, key: bytes, epoch: int, value: bytes) -> None:
        """Keep a block in place of what was there."""
        record = self.record(key)
        if record is not None and record != tagged(epoch, key):
            self.stale.add(record)
        self._keep(key, epoch, value)

    def drop(self, key: bytes) -> None:
        """Forget a block; its record is stale from now on."""
        record = self.record(key)
        if record is not None:
            self.stale.add(record)
            self._remove(key)

    def record(self, key: bytes) -> bytes | None:
        """The key in the changelog, whole, of the block `key`; None where there is none."""
        epoch = self.epoch(key)
        return None if epoch is None else tagged(epoch, key)

    def epoch(self, key: bytes) -> int | None:
        """The epoch of the block `key`, None where there is none."""
        return self._epochs.get(key)

    def _keep(self, key: bytes, epoch: int, value: bytes) -> None:
        self.blocks[key] = value
        self._epochs[key] = epoch

    def _remove(self, key: bytes) -> None:
        self.blocks.pop(key, None)
        del self._epochs[key]
