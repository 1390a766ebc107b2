"""Rows whose state is Python objects: kept pickled, and never unpickled before their signature is checked."""

import hmac
import pickle
from hashlib import sha256
from typing import Generic, TypeVar

from detectors.port import StateError

MAC_BYTES = 32

State = TypeVar("State")


class PickledRows(Generic[State]):
    """One object or None per row; blocks of them carry an HMAC-SHA256 made with `key`."""

    def __init__(self, name: str, version: int, key: bytes | None) -> None:
        self._name = name
        self._header = f"{name}/{version}\n".encode("ascii")
        self._key = key
        self._rows: list[State | None] = []

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int) -> State | None:
        return self._rows[row]

    def __setitem__(self, row: int, state: State) -> None:
        self._rows[row] = state

    def bytes_of(self, fresh: State) -> int:
        """Size of a pickled row: that of the first used one, else of a fresh one."""
        used = next((row for row in self._rows if row is not None), fresh)
        return len(pickle.dumps(used))

    def grow(self, count: int) -> None:
        """Make rows 0 to count - 1 exist."""
        self._rows.extend([None] * (count - len(self._rows)))

    def reset(self, row: int) -> None:
        """Forget a row. Raises IndexError where it does not exist."""
        self._check(row, row + 1)
        self._rows[row] = None

    def dump(self, start: int, stop: int) -> bytes:
        """Rows start to stop - 1, signed. Raises StateError without a key."""
        self._check(start, stop)
        body = self._header + pickle.dumps(self._rows[start:stop], protocol=5)
        return self._mac(body) + body

    def load(self, start: int, stop: int, data: bytes) -> None:
        """Put a dumped block back.

        Raises:
            StateError: it is not authentic, of another model or version, or of another length.
        """
        self._check(start, stop)
        mac, body = data[:MAC_BYTES], data[MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(body)):
            raise StateError(
                f"{self._name}: the block's signature is wrong: another key, or altered; not loaded"
            )
        if not body.startswith(self._header):
            found = body.partition(b"\n")[0][:80].decode("ascii", "replace")
            expected = self._header.decode("ascii").rstrip("\n")
            raise StateError(f"block of {found!r}, expected {expected!r}: drop the state or run that version")
        rows = pickle.loads(body[len(self._header) :])  # noqa: S301 - authentic, checked above
        if len(rows) != stop - start:
            raise StateError(f"block of {len(rows)} rows, expected {stop - start}")
        self._rows[start:stop] = rows

    def _mac(self, body: bytes) -> bytes:
        if not self._key:
            raise StateError(
                f"{self._name}: a River model's state is pickled and needs a secret key to be kept"
            )
        return hmac.digest(self._key, body, sha256)

    def _check(self, start: int, stop: int) -> None:
        if not 0 <= start <= stop <= len(self._rows):
            last = len(self._rows) - 1
            raise IndexError(f"rows {start} to {stop - 1} are not all in 0 to {last}; call grow first")
