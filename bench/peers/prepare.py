"""Peers made ready below `.cache/peers`: virtual environments, and a Java program with its libraries."""

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.lab import ROOT, BenchError

CACHE = ROOT / ".cache" / "peers"
JAVA = Path(__file__).parent / "kafka-streams"
REQUIREMENTS = {
    "quix_streams": ("quixstreams>=3.20,<4", "river>=0.23"),
    "bytewax": ("bytewax[kafka]>=0.21,<0.22", "river>=0.23"),
}


def python(name: str) -> Path:
    """The interpreter of a peer's own environment, made the first time.

    Raises:
        BenchError: pip could not install it; the text holds what it said.
    """
    folder = CACHE / name
    _once(name, lambda: _install(folder, REQUIREMENTS[name]))
    return folder / "bin" / "python"


def _install(folder: Path, requirements: Sequence[str]) -> None:
    _run([sys.executable, "-m", "venv", folder])
    pip = [folder / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    _run([*pip, *requirements])


def java() -> list[str | Path]:
    """The command of the Kafka Streams peer, fetched by Maven and compiled the first time.

    Raises:
        BenchError: there is no Java or Maven, or one of them failed; the text holds what it said.
    """
    for program in ("java", "javac", "mvn"):
        if shutil.which(program) is None:
            raise BenchError(f"Kafka Streams needs {program}: install a Java 17 development kit and Maven")
    folder = CACHE / "kafka-streams"
    _once("kafka-streams", lambda: _compile(folder))
    return [
        "java", "-Xmx1g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
        "-cp", f"{folder / 'classes'}:{folder / 'libs'}/*", "EwmaPeer",
    ]  # fmt: skip


def _compile(folder: Path) -> None:
    libraries = folder / "libs"
    fetch = ["mvn", "-q", "-B", "-f", JAVA / "pom.xml", "dependency:copy-dependencies"]
    _run([*fetch, f"-DoutputDirectory={libraries}"])
    sources = sorted((JAVA / "src").glob("*.java"))
    _run(["javac", "-Xlint:all", "-Werror", "-cp", f"{libraries}/*", "-d", folder / "classes", *sources])


def _once(name: str, make: Callable[[], None]) -> None:
    """Call `make` unless it has succeeded before with these sources; one process at a time."""
    CACHE.mkdir(parents=True, exist_ok=True)
    done = CACHE / f"{name}.complete"
    made_of = _fingerprint(name)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists() or done.read_text() != made_of:
            make()
            done.write_text(made_of)


def _fingerprint(name: str) -> str:
    if name in REQUIREMENTS:
        return "\n".join(REQUIREMENTS[name])
    files = [JAVA / "pom.xml", *sorted((JAVA / "src").glob("*.java"))]
    return "\n".join(path.read_text() for path in files)


def _run(command: Sequence[str | Path]) -> None:
    result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if result.returncode != 0:
        words = " ".join(map(str, command))
        raise BenchError(f"{words} failed: {(result.stdout + result.stderr)[-2000:]}")
