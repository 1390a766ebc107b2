"""The ledger on a real Redis that speaks TLS only and asks for client certificates."""

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from actuators import LedgerUnavailable, RedisLedger
from streams.embedded import free_port, spawn
from tests.certificates import Authority, Certificate
from tests.deploy.conftest import program

pytestmark = pytest.mark.redis

PASSWORD = "s3cret-of-the-ledger"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[int, Authority]]:
    """Port and authority of a server of this test's own."""
    binary = program("redis-server")
    assert shutil.which(binary)
    authority = Authority(tmp_path / "ca")
    own = authority.issue("localhost")
    port = free_port()
    command = [
        binary, "--port", 0, "--tls-port", port, "--bind", "127.0.0.1", "--save", "",
        "--tls-cert-file", own.cert, "--tls-key-file", own.key, "--tls-ca-cert-file", authority.cert,
        "--requirepass", PASSWORD,
    ]  # fmt: skip
    with (tmp_path / "log").open("wb") as log:
        process: subprocess.Popen[bytes] = spawn([str(word) for word in command], log=log, cwd=tmp_path)
    yield port, authority
    process.kill()
    process.wait()


def _ledger(
    port: int, authority: Authority, client: Certificate | None, password: str = PASSWORD
) -> RedisLedger:
    shown = f"&ssl_certfile={client.cert}&ssl_keyfile={client.key}" if client else ""
    return RedisLedger.from_url(
        f"rediss://:{password}@localhost:{port}/0?ssl_ca_certs={authority.cert}{shown}"
    )


async def test_certificates_and_passwords_open_it_and_are_not_told(
    server: tuple[int, Authority], tmp_path: Path
) -> None:
    port, authority = server
    good = _ledger(port, authority, authority.issue("worker"))
    async with asyncio.timeout(30):
        while True:
            try:
                await good.pause("checkout", by="me", reason="a test", at=1)
                break
            except LedgerUnavailable:
                await asyncio.sleep(0.05)
    assert [pause.target for pause in await good.pauses()] == ["checkout"]
    for wrong in (
        _ledger(port, authority, None),
        _ledger(port, authority, Authority(tmp_path / "other").issue("worker")),
        _ledger(port, authority, authority.issue("worker"), "s3cret-but-wrong"),
    ):
        with pytest.raises(LedgerUnavailable) as caught:
            await wrong.pauses()
        assert "s3cret" not in str(caught.value)
        await wrong.close()
    await good.close()
