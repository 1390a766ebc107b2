"""A real Apache Kafka in KRaft mode for tests and benchmarks: one broker, or three that may fail.

`python -m tests.kafka.broker [BROKERS]` starts one, prints its address, and runs until Ctrl-C or the
end of its input.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from streams.embedded import HOST, free_port, spawn

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "kafka"
VERSIONS = "[4.0.0,5.0.0)"
IMAGE = "apache/kafka:4.1.0"
HEAP = "512m"

_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tidegate</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSIONS}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"""

# Shared by all nodes. Small and quick: few internal partitions, no delays before a first rebalance, and
# failures noticed within seconds. Topics are created by whoever owns them, as in most production clusters.
_SETTINGS = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "500",
    "log.cleaner.backoff.ms": "200",
    "log.segment.delete.delay.ms": "1000",
    "broker.session.timeout.ms": "4000",
    "broker.heartbeat.interval.ms": "500",
    "replica.lag.time.max.ms": "4000",
}


class KafkaUnavailableError(RuntimeError):
    """No Apache Kafka can be had here; the text says what was tried."""


def libraries() -> Path:
    """Return the folder of Kafka's jars, fetched by Maven once into `.cache/kafka`.

    Raises:
        KafkaUnavailableError: there is no Java or no Maven, or Maven failed.
    """
    folder = CACHE / "libs"
    done = CACHE / "complete"
    if done.exists():
        return folder
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            raise KafkaUnavailableError(
                f"Apache Kafka needs {program}: install Java 17 and Maven, or set TIDEGATE_KAFKA=host:port"
            )
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if done.exists():
            return folder
        (CACHE / "pom.xml").write_text(_POM)
        result = subprocess.run(
            ["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={folder}"],
            cwd=CACHE,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if result.returncode != 0:
            raise KafkaUnavailableError(f"Maven could not fetch Apache Kafka: {result.stdout[-2000:]}")
        done.touch()
    return folder


@dataclass
class Node:
    """One broker, also a controller. Its data and its port outlive kills and restarts."""

    id: int
    port: int
    controller_port: int
    folder: Path
    heap: str = HEAP
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def format(self, cluster_id: str, voters: str, replication: int) -> None:
        """Write the node's configuration and format its storage."""
        self.folder.mkdir(parents=True)
        settings = _SETTINGS | {
            "node.id": str(self.id),
            "controller.quorum.voters": voters,
            "listeners": f"PLAINTEXT://{HOST}:{self.port},CONTROLLER://{HOST}:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{self.port}",
            "log.dirs": str(self.folder / "data"),
            "default.replication.factor": str(replication),
            "min.insync.replicas": str(max(1, replication - 1)),
            "offsets.topic.replication.factor": str(replication),
            "transaction.state.log.replication.factor": str(replication),
            "transaction.state.log.min.isr": str(max(1, replication - 1)),
        }
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        command = [
            *_java("128m"),
            "kafka.tools.StorageTool",
            "format",
            "-t",
            cluster_id,
            "-c",
            self._properties,
        ]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise KafkaUnavailableError(f"Kafka's storage could not be formatted: {result.stderr[-2000:]}")

    @property
    def _properties(self) -> Path:
        return self.folder / "server.properties"

    @property
    def address(self) -> str:
        """Where clients connect: `127.0.0.1:PORT`."""
        return f"{HOST}:{self.port}"

    def start(self) -> None:
        """Start the process; `Cluster.ready` waits until it serves. Call it from a thread that stays."""
        if self.process is None:
            with (self.folder / "log").open("ab") as log:
                self.process = spawn([*_java(self.heap), "kafka.Kafka", self._properties], log=log)

    def kill(self) -> None:
        """End the process with SIGKILL, as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End the process in order, by force after ten seconds."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(signal.SIGCONT)
        process.send_signal(how)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def freeze(self) -> None:
        """Stall the process (SIGSTOP): its connections stay open and answer nothing."""
        assert self.process is not None, f"broker {self.id} is not running"
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a stalled process go on (SIGCONT)."""
        assert self.process is not None, f"broker {self.id} is not running"
        self.process.send_signal(signal.SIGCONT)

    def tail(self) -> str:
        """Return the end of the node's log."""
        log = self.folder / "log"
        return log.read_text(errors="replace")[-2000:] if log.exists() else ""


class Cluster:
    """Apache Kafka on loopback: `with Cluster(3) as kafka: kafka.address; kafka.nodes[1].kill()`."""

    def __init__(self, brokers: int = 1, *, heap: str = HEAP) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="tidegate-kafka-"))
        self.nodes = [
            Node(number, free_port(), free_port(), self._folder / str(number), heap)
            for number in range(1, brokers + 1)
        ]

    @property
    def address(self) -> str:
        """Bootstrap servers, separated by commas."""
        return ",".join(node.address for node in self.nodes)

    def start(self) -> Self:
        """Format and start all brokers and wait until they serve.

        Raises:
            KafkaUnavailableError: Kafka cannot be had here, or does not come up.
        """
        libraries()
        voters = ",".join(f"{node.id}@{HOST}:{node.controller_port}" for node in self.nodes)
        try:
            for node in self.nodes:
                node.format("MkU3OEVBNTcwNTJENDM2Qk", voters, replication=min(3, len(self.nodes)))
            for node in self.nodes:
                node.start()
            _run(self.ready())
        except BaseException:
            self.stop()
            raise
        return self

    async def ready(self, patience_s: float = 60.0) -> None:
        """Wait until all running brokers are registered and the group coordinator answers."""
        wanted = sum(node.process is not None for node in self.nodes)
        try:
            async with asyncio.timeout(patience_s):
                while not await self._serves(wanted):
                    for node in self.nodes:
                        if node.process is not None and node.process.poll() is not None:
                            raise KafkaUnavailableError(f"broker {node.id} ended: {node.tail()}")
                    await asyncio.sleep(0.1)
        except TimeoutError:
            tails = "\n".join(node.tail() for node in self.nodes)
            raise KafkaUnavailableError(f"Kafka did not serve within {patience_s:g} s: {tails}") from None

    async def _serves(self, brokers: int) -> bool:
        # Each by itself: one that has just come back learns of the others a moment later.
        return all([await serves(node.address, brokers) for node in self.nodes if node.process is not None])

    def stop(self) -> None:
        """End all brokers by their own process ids and remove their data."""
        for node in self.nodes:
            node.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


async def serves(address: str, brokers: int = 1) -> bool:
    """Whether `brokers` brokers are registered at `address` and group coordination works."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address, request_timeout_ms=5000)
    try:
        with _quiet():
            await admin.start()
        cluster = await admin.describe_cluster()
        if len(cluster["brokers"]) < brokers:
            return False
        await admin.list_consumer_group_offsets("tidegate-ready")
    except (KafkaError, OSError, TimeoutError):
        return False
    else:
        return True
    finally:
        await admin.close()


@contextlib.contextmanager
def running(brokers: int = 1) -> Iterator[str]:
    """Yield the address of an Apache Kafka: the user's (TIDEGATE_KAFKA), a container's, or Maven's.

    Raises:
        KafkaUnavailableError: none of the three is to be had.
    """
    given = os.environ.get("TIDEGATE_KAFKA")
    if given:
        if not _run(serves(given)):
            raise KafkaUnavailableError(f"nothing serves at TIDEGATE_KAFKA={given}")
        yield given
    elif brokers == 1 and _docker_answers():
        with _container() as address:
            yield address
    else:
        with Cluster(brokers) as cluster:
            yield cluster.address


def _docker_answers() -> bool:
    # By the command line: docker's Python client leaks a socket where nothing answers.
    docker = shutil.which("docker")
    if docker is None:
        return False
    result = subprocess.run([docker, "version"], capture_output=True, check=False, timeout=20)
    return result.returncode == 0


@contextlib.contextmanager
def _container() -> Iterator[str]:
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415

    port = free_port()
    environment = _SETTINGS | {
        "node.id": "1",
        "listeners": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "controller.quorum.voters": "1@localhost:9093",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
    }
    container = DockerContainer(IMAGE).with_bind_ports(9092, port)
    for name, value in environment.items():
        container.with_env("KAFKA_" + name.upper().replace(".", "_"), value)
    with container:
        address = f"{HOST}:{port}"
        _run(_until_serving(address))
        yield address


async def _until_serving(address: str, patience_s: float = 60.0) -> None:
    async with asyncio.timeout(patience_s):
        while not await serves(address):
            await asyncio.sleep(0.2)


def _java(heap: str) -> list[str | Path]:
    java = shutil.which("java")
    if java is None:
        raise KafkaUnavailableError("Apache Kafka needs Java 17: install it, or set TIDEGATE_KAFKA=host:port")
    return [
        java,
        f"-Xmx{heap}",
        "-XX:+UseSerialGC",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-cp",
        f"{libraries()}/*",
    ]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence aiokafka's errors about a broker that is still starting."""
    logger = logging.getLogger("aiokafka")
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before


def _run(coroutine: Any) -> Any:
    """Run a coroutine to its end, also where this thread's loop belongs to someone else."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(asyncio.run, coroutine).result()


def main() -> None:
    """Run Kafka until Ctrl-C or the end of standard input."""
    brokers = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    with Cluster(brokers) as cluster:
        print(cluster.address, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            sys.stdin.read()


if __name__ == "__main__":
    main()
