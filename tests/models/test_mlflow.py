"""Model versions in a real MLflow tracking server."""

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import pytest
from mlflow.tracking import MlflowClient

from schemas import ModelVersion
from streams.mlflow_mirror import TAG, Mirror
from streams.model_versions import MirrorError
from tests.integration.harness import until
from tests.schemas.messages import EXAMPLES

pytestmark = [pytest.mark.platforms, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
SERVER = ROOT / ".cache" / "mlflow-server"


def _server() -> Path:
    """MLflow with its server, in an environment of its own: it needs older versions of what others need."""
    if not (SERVER / "bin" / "mlflow").is_file():
        if shutil.which("uv") is None:
            pytest.skip("uv is needed to install MLflow's server")
        subprocess.run(["uv", "venv", "-q", str(SERVER)], check=True, timeout=120)
        python = str(SERVER / "bin" / "python")
        subprocess.run(["uv", "pip", "install", "-q", "--python", python, "mlflow"], check=True, timeout=600)
    return SERVER / "bin" / "mlflow"


@pytest.fixture
async def tracking(tmp_path: Path) -> AsyncIterator[str]:
    """The address of a server of this test's own."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    command = [
        str(_server()), "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", store, "--default-artifact-root", str(tmp_path / "artifacts"),
    ]  # fmt: skip
    environ = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    log = tmp_path / "log"
    with log.open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=said, stderr=said, env=environ, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"

    async def healthy() -> int:
        assert process.returncode is None, log.read_text()
        async with httpx.AsyncClient(trust_env=False) as client:
            try:
                return (await client.get(f"{url}/health")).status_code
            except httpx.TransportError:
                return 0

    try:
        await until(healthy, lambda status: status == 200, what="MLflow is up", patience_s=280)
        yield url
    finally:
        os.killpg(process.pid, 15)
        await process.wait()


async def test_versions_are_runs_and_told_twice_are_there_once(tracking: str) -> None:
    first = EXAMPLES["modelversion"]
    assert isinstance(first, ModelVersion)
    later = msgspec.structs.replace(
        first, ts=first.ts + 3_600_000, metrics={"coverage.0.9": 0.88}, standing="challenger"
    )
    mirror = Mirror(tracking)
    run = mirror.take(first)
    assert mirror.take(later) == run
    assert Mirror(tracking).take(later) == run, "found again after a restart"
    client = MlflowClient(tracking_uri=tracking)
    experiment = client.get_experiment_by_name("tidegate/checkout")
    assert experiment is not None
    (found,) = client.search_runs([experiment.experiment_id], f"tags.`{TAG}` = '{first.id}'")
    assert found.data.params["levels"] == "[0.5, 0.9]"
    assert found.data.tags["tidegate.standing"] == "challenger"
    history = client.get_metric_history(run, "coverage.0.9")
    assert [(each.timestamp, each.value) for each in history][:2] == [(first.ts, 0.91), (later.ts, 0.88)]


async def test_a_server_that_does_not_answer_is_named() -> None:
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    version = EXAMPLES["modelversion"]
    assert isinstance(version, ModelVersion)
    with pytest.raises(MirrorError, match="MLflow refuses version checkout:"):
        Mirror("http://127.0.0.1:9").take(version)
