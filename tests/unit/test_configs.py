"""The example configurations against the code that reads them."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from pydantic import BaseModel

from cli.exits import Exit
from orchestrator.settings import ApiSettings, Settings
from support.fake_exchange import FakeRate
from telemetry.clock import SystemClock
from telemetry.metrics import Totals, _NodeCollector

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "configs"
EXAMPLE = CONFIGS / "gridkeeper.example.yaml"
#: Defaults that depend on the machine stand in the example as comments.
MACHINE_SETTINGS = {"data_dir", "node_name"}


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("GRIDKEEPER_")]:
        monkeypatch.delenv(name)


def test_example_settings_are_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = Settings()
    monkeypatch.setenv("GRIDKEEPER_CONFIG", str(EXAMPLE))

    assert Settings().model_dump() == defaults.model_dump()


def test_example_names_every_setting() -> None:
    document = yaml.safe_load(EXAMPLE.read_text())
    commented = set(re.findall(r"^# (\w+): \S+$", EXAMPLE.read_text(), re.MULTILINE))

    assert names_in(document) | commented == names_of(Settings)
    assert commented == MACHINE_SETTINGS


def test_env_example_every_line_is_a_valid_setting(tmp_path: Path) -> None:
    lines = re.findall(
        r"^# (GRIDKEEPER_\w+=.+)$", (ROOT / ".env.example").read_text(), re.MULTILINE
    )
    (tmp_path / ".env").write_text("\n".join(lines))
    (tmp_path / ".env").chmod(0o600)

    settings = Settings()

    named = {line.partition("=")[0].removeprefix("GRIDKEEPER_").lower() for line in lines}
    assert {name.partition("__")[0] for name in named} == settings.model_fields_set
    assert {name.replace("__", ".") for name in named} <= names_of(Settings)


def test_dashboard_shows_only_metrics_that_are_exposed() -> None:
    expressions = expressions_in(json.loads((CONFIGS / "dashboards/gridkeeper.json").read_text()))
    used = set(re.findall(r"\b(?:gridkeeper|process|python)_\w+", " ".join(expressions)))

    assert used
    assert used <= exposed_metrics()


def test_dashboard_shows_every_metric_of_ours() -> None:
    shown = (CONFIGS / "dashboards/gridkeeper.json").read_text()
    ours = {name for name in exposed_metrics() if name.startswith("gridkeeper_")}

    assert len(ours) > 15
    assert {name for name in ours if not re.search(rf"\b{name}\b", shown)} == set()


def test_dashboard_panels_do_not_overlap() -> None:
    panels = json.loads((CONFIGS / "dashboards/gridkeeper.json").read_text())["panels"]
    cells = [
        (x, y)
        for at in (panel["gridPos"] for panel in panels)
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]

    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_prometheus_scrapes_the_api_where_it_listens() -> None:
    (job,) = yaml.safe_load((CONFIGS / "prometheus.yaml").read_text())["scrape_configs"]
    api = ApiSettings()

    assert job["static_configs"] == [{"targets": [f"{api.host}:{api.port}"]}]


def test_grafana_dashboard_and_provisioned_datasource_agree() -> None:
    (source,) = yaml.safe_load((CONFIGS / "grafana/datasources.yaml").read_text())["datasources"]
    (provider,) = yaml.safe_load((CONFIGS / "grafana/dashboards.yaml").read_text())["providers"]
    compose = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())
    grafana = compose["services"]["grafana"]
    dashboard = (CONFIGS / "dashboards/gridkeeper.json").read_text()

    assert set(re.findall(r'"uid": "(\w+)"', dashboard)) == {source["uid"], "gridkeeper"}
    assert source["url"].strip("${}") in grafana["environment"]
    assert any(f":{provider['options']['path']}:" in mount for mount in grafana["volumes"])


def test_service_restarts_everything_but_an_invalid_setting() -> None:
    service = systemd_unit()["Service"]

    assert service["Restart"] == ["always"]
    assert service["RestartPreventExitStatus"] == [str(int(Exit.INVALID))]
    assert str(int(Exit.FENCED)) not in service["RestartPreventExitStatus"]


def test_service_environment_is_made_of_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    given = dict(line.split("=", 1) for line in systemd_unit()["Service"]["Environment"])
    assert given.pop("GRIDKEEPER_CONFIG")
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    settings = Settings()

    assert {n.removeprefix("GRIDKEEPER_").lower() for n in given} == settings.model_fields_set
    assert settings.data_dir == Path("/var/lib", systemd_unit()["Service"]["StateDirectory"][0])


def test_pre_commit_hooks_are_programs_of_this_checkout() -> None:
    repositories = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    hooks = [hook for repository in repositories for hook in repository["hooks"]]

    assert {repository["repo"] for repository in repositories} == {"local"}
    assert {hook["language"] for hook in hooks} == {"system"}
    makefile = (ROOT / "Makefile").read_text()
    for hook in hooks:
        program = hook["entry"].split()[0]
        assert program.replace(".venv/bin", "$(BIN)") in makefile


def names_of(model: type[BaseModel], prefix: str = "") -> set[str]:
    """The dotted names of a model's settings."""
    names: set[str] = set()
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            names |= names_of(field.annotation, f"{prefix}{name}.")
        else:
            names.add(prefix + name)
    return names


def names_in(document: dict[str, Any], prefix: str = "") -> set[str]:
    """The dotted names of a document's entries."""
    names: set[str] = set()
    for name, value in document.items():
        names |= names_in(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name}
    return names


def expressions_in(dashboard: dict[str, Any]) -> list[str]:
    panels = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    variables = [variable["query"]["query"] for variable in dashboard["templating"]["list"]]
    return panels + variables


@dataclass
class NoClients:
    clients: int = 0
    dropped: int = 0


def exposed_metrics() -> set[str]:
    """The names under which Prometheus finds what a node exposes."""
    collector = _NodeCollector(dict, SystemClock(), rate=FakeRate(), clients=NoClients())
    collector.totals = Totals(
        symbols=(), failed_workflows={}, heartbeat_ages_s={}, is_killed=False, read_at_ms=0
    )
    registry = CollectorRegistry()
    registry.register(collector)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in registry.collect()
    }


def systemd_unit() -> dict[str, dict[str, list[str]]]:
    """Sections of the unit; a repeated key keeps all its values."""
    unit: dict[str, dict[str, list[str]]] = {}
    section: dict[str, list[str]] = {}
    for line in (CONFIGS / "gridkeeper.service").read_text().splitlines():
        if line.startswith("["):
            section = unit.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            section.setdefault(key, []).append(value)
    return unit
