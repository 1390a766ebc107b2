"""Where the state of series that fell silent waits for their return: a file on disk, by key."""

import sqlite3


class ColdStore:
    """Bytes by partition and key, each with the epoch of who wrote it, in a private SQLite file.

    The changelog is what makes them durable, so nothing here is synced. The file has no name (SQLite's
    temporary database): it goes with the process, also where that is killed.
    """

    def __init__(self) -> None:
        self._db = sqlite3.connect("", check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute(
            "CREATE TABLE cold (partition INTEGER, key BLOB, epoch INTEGER NOT NULL, value BLOB NOT NULL, "
            "PRIMARY KEY (partition, key)) WITHOUT ROWID"
        )

        self._used: set[int] = set()  # partitions that may have something here

    def put(self, partition: int, key: bytes, epoch: int, value: bytes) -> None:
        """Keep `value` under `key`, in place of what was there."""
        self._used.add(partition)
        self._db.execute("INSERT OR REPLACE INTO cold VALUES (?, ?, ?, ?)", (partition, key, epoch, value))

    def get(self, partition: int, key: bytes) -> bytes | None:
        """What is kept under `key`, None where there is nothing."""
        if partition not in self._used:  # each new series asks
            return None
        found = self._db.execute(
            "SELECT value FROM cold WHERE partition = ? AND key = ?", (partition, key)
        ).fetchone()
        return found[0] if found else None

    def epoch(self, partition: int, key: bytes) -> int | None:
        """The epoch of what is kept under `key`, None where there is nothing."""
        found = self._db.execute(
            "SELECT epoch FROM cold WHERE partition = ? AND key = ?", (partition, key)
        ).fetchone()
        return int(found[0]) if found else None

    def delete(self, partition: int, key: bytes) -> None:
        """Forget `key`; nothing happens where it is not there."""
        self._db.execute("DELETE FROM cold WHERE partition = ? AND key = ?", (partition, key))

    def forget(self, partition: int) -> None:
        """Forget everything of a partition."""
        self._used.discard(partition)
        self._db.execute("DELETE FROM cold WHERE partition = ?", (partition,))

    def count(self, partition: int) -> int:
        """How many keys of the partition are kept."""
        found = self._db.execute("SELECT count(*) FROM cold WHERE partition = ?", (partition,)).fetchone()
        return int(found[0])

    def close(self) -> None:
        """Remove the file."""
        self._db.close()
