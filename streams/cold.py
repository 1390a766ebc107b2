"""Where the state of series that fell silent waits for their return: a file on disk, by key."""

import sqlite3
import tempfile
from pathlib import Path


class ColdStore:
    """Bytes by partition and key, in an SQLite file of this process's own.

    The changelog is what makes them durable, so nothing here is synced, and the file goes with the store.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tidegate-cold-")
        self._db = sqlite3.connect(Path(self._folder.name) / "cold.db", check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute(
            "CREATE TABLE cold (partition INTEGER, key BLOB, value BLOB NOT NULL, "
            "PRIMARY KEY (partition, key)) WITHOUT ROWID"
        )

    def put(self, partition: int, key: bytes, value: bytes) -> None:
        """Keep `value` under `key`, in place of what was there."""
        self._db.execute("INSERT OR REPLACE INTO cold VALUES (?, ?, ?)", (partition, key, value))

    def get(self, partition: int, key: bytes) -> bytes | None:
        """What is kept under `key`, None where there is nothing."""
        found = self._db.execute(
            "SELECT value FROM cold WHERE partition = ? AND key = ?", (partition, key)
        ).fetchone()
        return found[0] if found else None

    def delete(self, partition: int, key: bytes) -> None:
        """Forget `key`; nothing happens where it is not there."""
        self._db.execute("DELETE FROM cold WHERE partition = ? AND key = ?", (partition, key))

    def forget(self, partition: int) -> None:
        """Forget everything of a partition."""
        self._db.execute("DELETE FROM cold WHERE partition = ?", (partition,))

    def count(self, partition: int) -> int:
        """How many keys of the partition are kept."""
        found = self._db.execute("SELECT count(*) FROM cold WHERE partition = ?", (partition,)).fetchone()
        return int(found[0])

    def close(self) -> None:
        """Remove the file."""
        self._db.close()
        self._folder.cleanup()
