"""docker-compose.yml and what it mounts: everything named exists, fits together, and keeps to loopback."""

import re
import shlex
import tomllib
from typing import Any
from urllib.parse import urlsplit

import pytest

from streams.config import read
from tests.deploy.conftest import DEPLOY, ROOT, command_names, parse_command, read_yaml

Compose = dict[str, Any]


def mounts(service: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Source, destination and mode of each mount."""
    parts = [volume.split(":") for volume in service.get("volumes", [])]
    return [(part[0], part[1], part[2] if len(part) > 2 else "rw") for part in parts]


def container_ports(service: dict[str, Any]) -> set[int]:
    return {int(port.rsplit(":", 1)[1]) for port in service.get("ports", [])}


def test_every_mounted_file_exists_and_cannot_be_written(compose: Compose) -> None:
    found = 0
    for name, service in compose["services"].items():
        for source, _, mode in mounts(service):
            if source.startswith("."):
                assert (ROOT / source).exists(), f"{name}: {source}"
                assert mode == "ro", f"{name}: {source}"
                found += 1
            else:
                assert source in compose["volumes"], f"{name}: volume {source} is not declared"
    assert found >= 6
    used = {source for service in compose["services"].values() for source, *_ in mounts(service)}
    assert set(compose["volumes"]) <= used


def test_ports_are_on_loopback_only(compose: Compose) -> None:
    for name, service in compose["services"].items():
        assert service["ports"], name
        for port in service["ports"]:
            assert str(port).startswith("127.0.0.1:"), f"{name}: {port}"
        assert "network_mode" not in service


def test_images_are_pinned_to_a_version(compose: Compose) -> None:
    for name, service in compose["services"].items():
        if "build" not in service:
            assert re.search(r":v?\d+\.\d+\.\d+(-[a-z]+)?$", service["image"]), f"{name}: {service['image']}"


def test_every_service_has_a_health_check_and_starts_after_what_it_needs(compose: Compose) -> None:
    for name, service in compose["services"].items():
        if "build" in service:
            assert "HEALTHCHECK" in (ROOT / service["build"] / "Dockerfile").read_text()
        else:
            assert service["healthcheck"]["test"][0] == "CMD", name
        for needed, how in service.get("depends_on", {}).items():
            assert needed in compose["services"], name
            assert how["condition"] == "service_healthy", name
    assert set(compose["services"]["worker"]["depends_on"]) == {"kafka", "valkey"}


def test_there_is_no_secret_in_it(compose: Compose) -> None:
    for name, service in compose["services"].items():
        for variable in service.get("environment", {}):
            assert not re.search(r"PASSW|SECRET|TOKEN|CREDENTIAL|_KEY$", variable), f"{name}: {variable}"
    for path in [ROOT / "docker-compose.yml", ROOT / "Dockerfile", *DEPLOY.rglob("*.*")]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(?i)(password|secret|token)\s*[:=]\s*[\"']?\w", text), path
        assert not re.search(r"://[^/\s:@]+:[^/\s@]+@", text), path


def test_our_commands_are_real_ones_and_their_files_are_mounted(compose: Compose) -> None:
    ours = [service for service in compose["services"].values() if service["image"] == "tidegate:local"]
    assert ours
    for service in ours:
        parameters = parse_command(service["command"])
        mounted = {destination: ROOT / source for source, destination, _ in mounts(service)}
        read(mounted[str(parameters["config"])])  # raises where it is not mounted, or is not valid


def test_commands_told_to_people_are_real_ones() -> None:
    told: list[str] = []
    for path in (ROOT / "docker-compose.yml", DEPLOY / "tidegate.toml", ROOT / "docs" / "operations.md"):
        text = path.read_text(encoding="utf-8")
        told += re.findall(r"(?m)^(?:#\s+)?tidegate (.+)$", text) + re.findall(r"`tidegate (.+?)`", text)
    assert len(told) > 10
    for line in told:
        arguments = shlex.split(line)
        if len(arguments) == 1 and arguments[0] in command_names():
            continue  # the command is named, not called
        parse_command(arguments)


def test_the_configuration_names_the_services_beside_it(compose: Compose) -> None:
    config = read(DEPLOY / "tidegate.toml")
    services = compose["services"]
    advertised = services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    for broker in config.kafka.brokers:
        assert f"PLAINTEXT://{broker}" in advertised.split(",")
    ledger = urlsplit(config.ledger.url)
    assert ledger.hostname in services
    assert ledger.port in container_ports(services[str(ledger.hostname)])
    assert config.telemetry.port in container_ports(services["worker"])
    assert config.telemetry.host == "0.0.0.0"  # noqa: S104 - within the container


def test_topics_fit_the_one_broker(compose: Compose) -> None:
    config = read(DEPLOY / "tidegate.toml")
    environment = compose["services"]["kafka"]["environment"]
    assert config.kafka.replication == 1
    assert config.kafka.standby_replicas == 0
    for name in ("OFFSETS_TOPIC_REPLICATION_FACTOR", "TRANSACTION_STATE_LOG_REPLICATION_FACTOR"):
        assert environment[f"KAFKA_{name}"] == "1"


def test_prometheus_and_grafana_find_what_they_ask(compose: Compose) -> None:
    services = compose["services"]
    prometheus = read_yaml(DEPLOY / "prometheus.yml")
    scrape = {job["job_name"]: job for job in prometheus["scrape_configs"]}
    found = scrape["tidegate"]["dns_sd_configs"][0]
    assert found["names"] == ["worker"]
    assert found["port"] in container_ports(services["worker"])
    (alertmanagers,) = prometheus["alerting"]["alertmanagers"]
    for address in alertmanagers["static_configs"][0]["targets"]:
        host, port = address.split(":")
        assert int(port) in container_ports(services[host])
    destinations = {destination for _, destination, _ in mounts(services["prometheus"])}
    assert "/etc/prometheus/rules" in destinations  # rule_files are relative to the configuration
    (source,) = read_yaml(DEPLOY / "grafana/provisioning/datasources/prometheus.yml")["datasources"]
    url = urlsplit(source["url"])
    assert url.port in container_ports(services[str(url.hostname)])
    (provider,) = read_yaml(DEPLOY / "grafana/provisioning/dashboards/tidegate.yml")["providers"]
    dashboards = {destination: source for source, destination, _ in mounts(services["grafana"])}
    folder = ROOT / dashboards[provider["options"]["path"]]
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (folder / home.removeprefix(provider["options"]["path"] + "/")).is_file()


# -- Dockerfile ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dockerfile() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile, each with its arguments, lines joined."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines]


def test_the_image_is_built_from_all_packages(dockerfile: list[tuple[str, str]]) -> None:
    copied = [
        source
        for name, arguments in dockerfile
        if name == "COPY" and "--from" not in arguments
        for source in arguments.split()[:-1]
    ]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) <= set(copied)
    assert {"pyproject.toml", project["project"]["readme"], *project["project"]["license-files"]} <= set(
        copied
    )
    ignore = (ROOT / "Dockerfile.dockerignore").read_text().split()
    for source in copied:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in ignore, source


def test_the_image_runs_without_root_and_says_whether_it_lives(dockerfile: list[tuple[str, str]]) -> None:
    instructions = dict(dockerfile)  # the last of each
    assert int(instructions["USER"]) > 0
    assert "/healthz" in instructions["HEALTHCHECK"]
    assert instructions["ENTRYPOINT"] == '["tidegate"]'
    parse_command(re.findall(r'"([^"]*)"', instructions["CMD"]))
    images = [arguments.split()[0] for name, arguments in dockerfile if name == "FROM"]
    assert len(images) == 2
    for image in images:
        assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", image)
