"""The dashboard and the alerts, held against what a service really reports."""

import contextlib
import json
import re
import subprocess
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from tests.harness import npm
from tests.harness.project import Project, free_port, wait_until
from tests.harness.types import Measure, Render

# Grafana's own types of a dashboard, and what holds a file against them.
TYPES = ("@grafana/schema@13.2.3", "typescript@5.9.3")
CHECK = (
    "tsc --noEmit --strict --skipLibCheck --moduleResolution bundler --module esnext"
)
METRIC = re.compile(r"\b(?:app|db|http|process)_[a-z_]+|\bup\b")
LABELS = re.compile(r"by \([^)]*\)|\{[^}]*\}")
VARIABLES = {"$job": "my-service", "$__rate_interval": "1m"}
# Few connections, so that requests wait, and fail.
SETTINGS = {
    "DB_POOL_SIZE": "2",
    "DB_POOL_TIMEOUT": "0.02",
    "OTEL_METRICS_EXPORTER": "prometheus",
    "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1",
}


@pytest.fixture(scope="module")
def project(installed: Render) -> Project:
    return installed(telemetry=True)


def alerts(project: Project) -> dict[str, str]:
    """Return the alerts and their expressions."""
    file = yaml.safe_load((project.path / "observability" / "alerts.yaml").read_text())
    return {
        rule["alert"]: rule["expr"]
        for group in file["groups"]
        for rule in group["rules"]
    }


def panels(project: Project) -> dict[str, list[str]]:
    """Return the panels of the dashboard and their queries."""
    file = project.path / "observability" / "dashboard.json"
    return {
        panel["title"]: [target["expr"] for target in panel["targets"]]
        for panel in json.loads(file.read_text())["panels"]
    }


def test_each_alert_is_tested_both_firing_and_silent(project: Project) -> None:
    directory = project.path / "observability"

    for command in ("check rules alerts.yaml", "test rules alerts_test.yaml"):
        subprocess.run(["promtool", *command.split()], cwd=directory, check=True)

    tests = yaml.safe_load((directory / "alerts_test.yaml").read_text())["tests"]
    cases = {
        (case["alertname"], bool(case["exp_alerts"]))
        for test in tests
        for case in test["alert_rule_test"]
    }
    assert cases == {
        (name, fires) for name in alerts(project) for fires in (True, False)
    }


def test_the_dashboard_is_one_by_the_types_of_grafana(
    project: Project, tmp_path: Path
) -> None:
    dashboard = (project.path / "observability" / "dashboard.json").read_text()
    modules = npm.install(tmp_path, *TYPES)
    wrong = dashboard.replace('"schemaVersion": 39', '"schemaVersion": "39"')
    errors = []

    for text in (dashboard, wrong):
        file = tmp_path / "dashboard.ts"
        file.write_text(
            'import type { Dashboard } from "@grafana/schema";\n'
            f"export const dashboard: Dashboard = {text};\n"
        )
        command = [modules / ".bin" / "tsc", *CHECK.split()[1:], file]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        errors.append(re.findall(r"error (TS\d+)", result.stdout))

    assert errors == [[], ["TS2322"]]


@contextlib.contextmanager
def prometheus(directory: Path, rules: Path, port: int) -> Generator[httpx2.Client]:
    """Run a Prometheus that scrapes a port each second, and evaluates the rules."""
    own = free_port()
    scrape = {
        "job_name": "my-service",
        "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
    }
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [scrape],
    }
    (directory / "prometheus.yaml").write_text(yaml.safe_dump(configuration))
    command = [
        "prometheus",
        "--config.file=prometheus.yaml",
        "--storage.tsdb.path=data",
        f"--web.listen-address=127.0.0.1:{own}",
    ]
    with (
        (directory / "output.txt").open("w") as output,
        subprocess.Popen(command, cwd=directory, stderr=output) as process,
        httpx2.Client(base_url=f"http://127.0.0.1:{own}/api/v1") as client,
    ):
        try:
            yield client
        finally:
            process.terminate()


def change_at_once(client: httpx2.Client, path: str) -> None:
    """Change a row many times at once: requests wait, run again, and fail."""

    def change() -> None:
        for quantity in range(20):
            change = {"quantity": quantity}
            client.patch(path, json=change, headers={"If-Match": "*"})

    threads = [threading.Thread(target=change) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client.get("/unknown")


def test_prometheus_finds_every_metric_of_the_dashboard_and_evaluates_the_alerts(
    project: Project, tmp_path: Path, measure: Measure
) -> None:
    port = free_port()
    rules = project.path / "observability" / "alerts.yaml"
    variables = {**SETTINGS, "OTEL_EXPORTER_PROMETHEUS_PORT": str(port)}
    queries = [query for panel in panels(project).values() for query in panel]
    named = {
        name
        for expression in (*alerts(project).values(), *queries)
        for name in METRIC.findall(LABELS.sub("", expression))
    }

    with (
        project.serve(**variables) as client,
        prometheus(tmp_path, rules, port) as server,
    ):

        def ask(path: str, **parameters: str) -> Any:
            return server.get(path, params=parameters).json()["data"]

        def has_every_metric() -> bool:
            with contextlib.suppress(httpx2.TransportError):
                return named <= set(ask("/label/__name__/values"))
            return False

        def has_result(query: str) -> bool:
            for variable, value in VARIABLES.items():
                query = query.replace(variable, value)
            return bool(ask("/query", query=query)["result"])

        before = httpx2.get(f"http://127.0.0.1:{port}/metrics").text
        created = client.post("/items", json={"name": "Lamp"}).json()
        path = f"/items/{created['id']}"
        change_at_once(client, path)
        wait_until(has_every_metric)
        # A rate needs a second scrape.
        change_at_once(client, path)
        wait_until(lambda: all(has_result(query) for query in queries))
        (group,) = ask("/rules")["groups"]

    # Otherwise a rate would not see the first one.
    zero = r"^db_client_connection_timeouts_total\{.*\} 0.0$"
    assert re.search(zero, before, re.MULTILINE)
    health = {rule["name"]: rule["health"] for rule in group["rules"]}
    firing = {rule["name"] for rule in group["rules"] if rule["state"] == "firing"}
    measure(
        f"Prometheus has all {len(named)} metrics of {len(panels(project))} panels and "
        f"{len(health)} alerts, {len(firing)} of which fire."
    )
    assert health == dict.fromkeys(alerts(project), "ok")
    assert firing == set()
