"""A real kube-apiserver of the tests' own, from the shared tools; see `kubernetes_lab`."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).parents[2]
_BINARIES = ("kube-apiserver", "kube-controller-manager")


def _missing(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"a Kubernetes API server is required in CI: {reason}", pytrace=False)
    pytest.skip(f"Kubernetes API server: {reason}")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@dataclass
class _Shared:
    """The one server that all test modules share: started by the first, stopped by the last."""

    users: int = 0
    folder: Path | None = None
    env: dict[str, str] = field(default_factory=dict)

    def take(self) -> Path:
        shared = Path(os.environ.get("TIDEGATE_DATA", ROOT.parent / "shared"))
        script = shared / "tools" / "k8s-up.sh"
        built = Path(os.environ.get("K8SLAB", Path(tempfile.gettempdir()) / "k8slab")) / "bin"
        if not script.is_file():
            _missing(f"no {script}: set TIDEGATE_DATA to the folder that holds tools/k8s-up.sh")
        if shutil.which("etcd") is None or not all((built / name).is_file() for name in _BINARIES):
            _missing(f"not built in {built}: run `tools/k8s-up.sh build` of the shared folder once (minutes)")
        self.users += 1
        if self.folder is None:
            self.folder = Path(tempfile.mkdtemp(prefix="tidegate-k8s-"))
            (self.folder / "bin").symlink_to(built)
            api, etcd, peer, kcm = _free_ports(4)
            self.env = os.environ | {
                "K8SLAB": str(self.folder),
                "API_PORT": str(api),
                "ETCD_PORT": str(etcd),
                "ETCD_PEER_PORT": str(peer),
                "KCM_PORT": str(kcm),
            }
            self._run(script, "up")
        return self.folder / "kubeconfig"

    def give_back(self) -> None:
        self.users -= 1
        if self.users == 0 and self.folder is not None:
            shared = Path(os.environ.get("TIDEGATE_DATA", ROOT.parent / "shared"))
            self._run(shared / "tools" / "k8s-up.sh", "down")
            shutil.rmtree(self.folder)
            self.folder = None

    def _run(self, script: Path, what: str) -> None:
        done = subprocess.run(
            ["bash", str(script), what],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{script.name} {what} failed:\n{done.stderr}")


_shared = _Shared()


@pytest.fixture(scope="session")
def kubernetes_lab() -> Iterator[Path]:
    """The kubeconfig of a real API server with the contexts `admin`, `scaler` and `nobody`."""
    kubeconfig = _shared.take()
    try:
        yield kubeconfig
    finally:
        _shared.give_back()
