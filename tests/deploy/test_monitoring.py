"""Rules, dashboard and Alertmanager's routes: against the real programs and what Telemetry exports."""

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from streams.telemetry import Telemetry
from tests.deploy.conftest import DEPLOY, ROOT, program, read_yaml
from tests.deploy.telling import tell_everything

RULES = DEPLOY / "rules" / "tidegate.yml"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "tidegate.json"


def run(*command: object) -> str:
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return content


def dashboard_queries(dashboard: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Title and PromQL of every panel, annotation and variable."""
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for annotation in dashboard["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]
    for variable in dashboard["templating"]["list"]:
        yield variable["name"], variable["definition"]


def rule_queries() -> Iterator[tuple[str, str]]:
    for group in read_yaml(RULES)["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


@pytest.fixture(scope="module")
def exported() -> dict[str, set[str]]:
    """Labels by name of every sample that a worker exports once everything has happened."""
    registry = CollectorRegistry()
    tell_everything(Telemetry(registry, clock=lambda: 0))
    found: dict[str, set[str]] = {}
    for metric in registry.collect():
        for sample in metric.samples:
            if not sample.name.endswith("_created"):
                found.setdefault(sample.name, set()).update(sample.labels)
    return found


def test_every_metric_and_label_asked_for_is_exported(
    dashboard: dict[str, Any], exported: dict[str, set[str]]
) -> None:
    asked = 0
    for title, query in [*dashboard_queries(dashboard), *rule_queries()]:
        for name, matchers in re.findall(r"\b((?:tidegate|process)_\w+)(?:\{([^}]*)\})?", query):
            asked += 1
            assert name in exported, f"{title}: {name}"
            for label in re.findall(r"(\w+)\s*(?:=~|!=|=)", matchers):
                assert label in exported[name] | {"job", "instance"}, f"{title}: {name}{{{label}}}"
    assert asked > 40


def test_every_metric_of_ours_is_on_the_dashboard(
    dashboard: dict[str, Any], exported: dict[str, set[str]]
) -> None:
    queries = " ".join(query for _, query in dashboard_queries(dashboard))
    for name in exported:
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        if base.startswith("tidegate_") and base != "tidegate_checkpoint_blocks_total":
            assert re.search(rf"\b{base}", queries), name


def test_panels_do_not_overlap_and_each_is_unique(dashboard: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))


def test_the_dashboard_asks_the_provisioned_source(dashboard: dict[str, Any]) -> None:
    (source,) = read_yaml(DEPLOY / "grafana/provisioning/datasources/prometheus.yml")["datasources"]
    asked = {
        target["datasource"]["uid"] for panel in dashboard["panels"] for target in panel.get("targets", [])
    }
    assert asked == {source["uid"]}


def test_prometheus_takes_the_configuration_and_the_rules() -> None:
    run(program("promtool"), "check", "config", DEPLOY / "prometheus.yml")
    run(program("promtool"), "check", "rules", "--lint=all", "--lint-fatal", RULES)


def test_alerts_fire_when_they_must_and_only_then() -> None:
    assert "SUCCESS" in run(
        program("promtool"), "test", "rules", ROOT / "tests" / "deploy" / "rules_test.yml"
    )


def test_each_rule_has_a_unit_test_and_a_section_in_the_manual() -> None:
    tests = (ROOT / "tests" / "deploy" / "rules_test.yml").read_text()
    manual = (ROOT / "docs" / "operations.md").read_text()
    for name, _ in rule_queries():
        assert name in tests
        assert f"`{name}`" in manual


def test_each_metric_has_a_line_in_the_manual(exported: dict[str, set[str]]) -> None:
    manual = (ROOT / "docs" / "operations.md").read_text()
    for name in exported:
        if name.startswith("tidegate_"):
            assert re.sub(r"_(bucket|sum|count)$", "", name) in manual, name


def test_alertmanager_takes_the_configuration_and_routes_by_severity() -> None:
    config = DEPLOY / "alertmanager.yml"
    amtool = program("amtool")
    run(amtool, "check-config", config)
    for severity, receiver in (("critical", "page"), ("warning", "page"), ("info", "log")):
        routed = run(amtool, "config", "routes", "test", f"--config.file={config}", f"severity={severity}")
        assert routed.strip() == receiver
