"""The numbers of each environment in `deploy/`, which depend on one another."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from dotenv import dotenv_values

from app.core.config import Settings

DEPLOY = Path(__file__).parents[1] / "deploy"
OVERLAYS = sorted(
    path.parent.name for path in DEPLOY.glob("overlays/*/kustomization.yaml")
)
# For superusers, CloudNativePG's own sessions, and a person with psql.
RESERVED_CONNECTIONS = 20
# Two while a password is changed; PgBouncer has a pool for each.
LOGINS = 2


def merged(old: Any, new: Any) -> Any:
    """Patch as kustomize does: mappings by their keys, lists by the names in them."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {key: merged(old.get(key), value) for key, value in new.items()}
    if isinstance(old, list) and all("name" in item for item in [*old, *new]):
        by_name = [{item["name"]: item for item in items} for items in (old, new)]
        return list(merged(*by_name).values())
    return new


class Environment:
    """An overlay on the base: as much of kustomize as these tests need."""

    def __init__(self, overlay: str) -> None:
        self._settings: dict[str, str | None] = {}
        self._resources: dict[Any, Any] = {}
        for directory in (DEPLOY / "base", DEPLOY / "overlays" / overlay):
            self._settings |= dotenv_values(directory / "settings.env")
            for path in sorted(directory.glob("*.yaml")):
                for resource in yaml.safe_load_all(path.read_text()):
                    name = (resource["kind"], resource.get("metadata", {}).get("name"))
                    known = self._resources.get(name)
                    self._resources[name] = merged(known, resource)

    def spec(self, kind: str, name: str = "app") -> dict[str, Any]:
        return self._resources[kind, name]["spec"]

    def setting(self, name: str) -> Any:
        """Return a setting as text, or its default."""
        return self._settings.get(name, Settings.model_fields[name].default)


@pytest.fixture(params=OVERLAYS)
def environment(request: pytest.FixtureRequest) -> Environment:
    return Environment(request.param)


def test_a_pod_has_the_time_that_it_needs_to_stop(environment: Environment) -> None:
    pod = environment.spec("Deployment")["template"]["spec"]
    before_sigterm = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain = float(environment.setting("DRAIN_SECONDS"))
    shutdown = float(environment.setting("SHUTDOWN_SECONDS"))

    assert before_sigterm + drain + shutdown < pod["terminationGracePeriodSeconds"]


def test_the_probes_ask_for_a_host_that_is_allowed(environment: Environment) -> None:
    (container,) = environment.spec("Deployment")["template"]["spec"]["containers"]

    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        (header,) = container[probe]["httpGet"]["httpHeaders"]
        assert header["value"] in environment.setting("ALLOWED_HOSTS")


def test_postgresql_has_a_connection_for_whoever_may_want_one(
    environment: Environment,
) -> None:
    update = environment.spec("Deployment")["strategy"]["rollingUpdate"]
    pods = environment.spec("HorizontalPodAutoscaler")["maxReplicas"]
    pods += update["maxSurge"]
    pool = int(environment.setting("DB_POOL_SIZE"))
    pool += int(environment.setting("DB_MAX_OVERFLOW"))
    cluster = environment.spec("Cluster", "database")["postgresql"]["parameters"]
    pooler = environment.spec("Pooler", "pooler")
    pgbouncer = pooler["pgbouncer"]["parameters"]
    per_login = pooler["instances"] * int(pgbouncer["default_pool_size"])
    migration = 1

    for_service = int(cluster["max_connections"]) - RESERVED_CONNECTIONS
    # The worst: one PgBouncer serves all, as reads do not find their replica, or one
    # replica serves all reads.
    assert 2 * pods * pool <= int(pgbouncer["max_client_conn"])
    assert LOGINS * per_login + migration <= for_service
    assert pods * pool <= for_service
