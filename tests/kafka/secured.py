"""A real Apache Kafka that asks who one is and keeps ACLs: SASL over TLS, and mutual TLS."""

import asyncio
import re
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Self

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest

from streams.embedded import HOST, free_port, spawn
from tests.certificates import Authority
from tests.kafka.broker import _SETTINGS, KafkaUnavailableError, _java, serves

_TYPES = {"topic": 2, "group": 3, "cluster": 4}
_OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Describe": 8}


class SecuredBroker:
    """One broker. `users` have passwords; whoever comes by `admin` (plain text) may do everything."""

    def __init__(self, users: dict[str, str]) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="tidegate-secured-"))
        self.authority = Authority(self._folder / "ca")
        self._users = users
        self._ports = {name: free_port() for name in ("ADMIN", "SASL", "MUTUAL", "CONTROLLER")}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def admin(self) -> str:
        """Address without any questions, for the tests themselves."""
        return f"{HOST}:{self._ports['ADMIN']}"

    @property
    def sasl(self) -> str:
        """Address for users with passwords, over TLS."""
        return f"localhost:{self._ports['SASL']}"

    @property
    def mutual(self) -> str:
        """Address for clients with certificates."""
        return f"localhost:{self._ports['MUTUAL']}"

    def start(self) -> Self:
        """Format, start, and return when it serves.

        Raises:
            KafkaUnavailableError: Kafka cannot be had here, or does not come up.
        """
        server = self.authority.issue("localhost")
        listeners = ",".join(f"{name}://{HOST}:{port}" for name, port in self._ports.items())
        advertised = ",".join(
            f"{name}://localhost:{port}" for name, port in self._ports.items() if name != "CONTROLLER"
        )
        settings = _SETTINGS | {
            "node.id": "1",
            "controller.quorum.voters": f"1@{HOST}:{self._ports['CONTROLLER']}",
            "listeners": listeners,
            "advertised.listeners": advertised,
            "inter.broker.listener.name": "ADMIN",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,ADMIN:PLAINTEXT,SASL:SASL_SSL,MUTUAL:SSL",
            "listener.name.sasl.sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.sasl.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            "listener.name.mutual.ssl.client.auth": "required",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(server.bundle),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.authority.cert),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            "log.dirs": str(self._folder / "data"),
            "default.replication.factor": "1",
            "min.insync.replicas": "1",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
        }
        properties = self._folder / "server.properties"
        properties.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        command = [*_java("128m"), "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qk"]
        command += ["-c", properties]
        for name, password in self._users.items():
            command += ["--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise KafkaUnavailableError(f"Kafka's storage could not be formatted: {done.stderr[-2000:]}")
        with (self._folder / "log").open("wb") as log:
            self._process = spawn([*_java("320m"), "kafka.Kafka", properties], log=log)
        asyncio.run(self._ready())
        return self

    async def _ready(self) -> None:
        try:
            async with asyncio.timeout(90):
                while not await serves(self.admin):
                    if self._process is not None and self._process.poll() is not None:
                        raise KafkaUnavailableError((self._folder / "log").read_text()[-3000:])
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise KafkaUnavailableError((self._folder / "log").read_text()[-3000:]) from None

    def stop(self) -> None:
        """End it by its own process id and remove its data."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def grant(self, lines: str) -> int:
        """Give the rights that lines of `kafka-acls` arguments name; return how many."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.admin)
        await admin.start()
        count = 0
        try:
            for line in re.findall(r"--add .*", lines):
                words = shlex.split(line)
                given = dict(zip(words[1::2], words[2::2], strict=True))
                resource = next(name for name in _TYPES if f"--{name}" in given)
                request = CreateAclsRequest(
                    _TYPES[resource], given[f"--{resource}"], 3, given["--allow-principal"], "*",
                    _OPERATIONS[given["--operation"]], 3,
                )  # fmt: skip
                answer: object = await admin._send_request(request)
                assert "error_code=0" in str(answer), answer
                count += 1
        finally:
            await admin.close()
        return count
