"""The settings of each environment in `deploy/`, and the numbers that depend on them."""

import os
import re
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import yaml

from app.core.config import Settings, settings

DEPLOY = Path(__file__).parents[1] / "deploy"
OVERLAYS = sorted(
    path.parent.name for path in DEPLOY.glob("overlays/*/kustomization.yaml")
)
# For superusers, CloudNativePG's own sessions, and a person with psql.
RESERVED_CONNECTIONS = 20
# Two while a password is changed; PgBouncer has a pool for each.
LOGINS = 2
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def merged(old: Any, new: Any) -> Any:
    """Patch as kustomize does: mappings by their keys, lists by the names in them."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {key: merged(old.get(key), value) for key, value in new.items()}
    if isinstance(old, list) and all("name" in item for item in [*old, *new]):
        by_name = [{item["name"]: item for item in items} for items in (old, new)]
        return list(merged(*by_name).values())
    return new


def read_literally(path: Path) -> dict[str, str]:
    """Read a file as kustomize does: quotes and comments are part of a value."""
    variables: dict[str, str] = {}
    for number, line in enumerate(path.read_text("utf-8-sig").split("\n"), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.lstrip().removesuffix("\r").partition("=")
        where = f"{path}, line {number}"
        assert equals, f"{where} is not NAME=value"
        assert NAME.fullmatch(name), f"{where}: {name!r} is not a variable's name"
        assert name not in variables, f"{where}: {name} is there already"
        variables[name] = value
    return variables


def generated(directory: Path, inherited: dict[str, str]) -> dict[str, str]:
    """Return the ConfigMap `settings`, from that of the base and a directory's own."""
    kustomization = yaml.safe_load((directory / "kustomization.yaml").read_text())
    for generator in kustomization.get("configMapGenerator", []):
        if generator["name"] == "settings":
            own = dict(each.split("=", 1) for each in generator.get("literals", []))
            for file in generator.get("envs", []):
                own |= read_literally(directory / file)
            replaces = generator.get("behavior") == "replace"
            inherited = own if replaces else inherited | own
    return inherited


class Environment:
    """An overlay on the base: as much of kustomize as these tests need."""

    def __init__(self, overlay: str) -> None:
        self._generated: dict[str, str] = {}
        self._resources: dict[Any, Any] = {}
        for directory in (DEPLOY / "base", DEPLOY / "overlays" / overlay):
            self._generated = generated(directory, self._generated)
            for path in sorted(directory.glob("*.yaml")):
                for resource in yaml.safe_load_all(path.read_text()):
                    name = (resource["kind"], resource.get("metadata", {}).get("name"))
                    known = self._resources.get(name)
                    self._resources[name] = merged(known, resource)

    def spec(self, kind: str, name: str = "app") -> dict[str, Any]:
        return self._resources[kind, name]["spec"]

    def variables(self, kind: str, name: str) -> dict[str, str]:
        """Return the variables of a workload, but for those from a Secret."""
        container, *_ = self.spec(kind, name)["template"]["spec"]["containers"]
        entries = container.get("env", [])
        own = {each["name"]: each["value"] for each in entries if "value" in each}
        return self._generated | own

    def settings_of(self, kind: str, name: str) -> Settings:
        variables = self.variables(kind, name)
        # A setting of the service's own that is required may come from a Secret.
        secret: dict[str, Any] = {
            setting: getattr(settings, setting)
            for setting, field in Settings.model_fields.items()
            if field.is_required() and setting not in variables
        }
        with patch.dict(os.environ, variables, clear=True):
            return Settings(_env_file=None, **secret)

    @cached_property
    def settings(self) -> Settings:
        return self.settings_of("Deployment", "app")


@pytest.fixture(params=OVERLAYS)
def environment(request: pytest.FixtureRequest) -> Environment:
    return Environment(request.param)


@pytest.mark.parametrize("workload", [("Deployment", "app"), ("Job", "migrate")])
def test_the_settings_are_valid(
    environment: Environment, workload: tuple[str, str]
) -> None:
    environment.settings_of(*workload)


def test_no_setting_is_misspelled(environment: Environment) -> None:
    # Variables of other programs, such as OTEL_SERVICE_NAME, are fine.
    fields = [name.upper() for name in Settings.model_fields]
    others = [
        name
        for name in environment.variables("Deployment", "app")
        if name.upper() not in fields
    ]
    similar = {name: get_close_matches(name, fields, cutoff=0.9) for name in others}

    assert not {name: fields for name, fields in similar.items() if fields}


def test_a_pod_has_the_time_that_it_needs_to_stop(environment: Environment) -> None:
    pod = environment.spec("Deployment")["template"]["spec"]
    before_sigterm = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    after_sigterm = environment.settings.DRAIN_SECONDS
    after_sigterm += environment.settings.SHUTDOWN_SECONDS

    assert before_sigterm + after_sigterm < pod["terminationGracePeriodSeconds"]


def test_the_service_listens_on_the_port_of_its_container(
    environment: Environment,
) -> None:
    container, *_ = environment.spec("Deployment")["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}

    assert ports["http"] == environment.settings.PORT


def test_the_probes_ask_for_a_host_that_is_allowed(environment: Environment) -> None:
    (container,) = environment.spec("Deployment")["template"]["spec"]["containers"]
    hosts = environment.settings.ALLOWED_HOSTS

    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        (header,) = container[probe]["httpGet"]["httpHeaders"]
        assert "*" in hosts or header["value"] in hosts


def test_postgresql_has_a_connection_for_whoever_may_want_one(
    environment: Environment,
) -> None:
    update = environment.spec("Deployment")["strategy"]["rollingUpdate"]
    pods = environment.spec("HorizontalPodAutoscaler")["maxReplicas"]
    pods += update["maxSurge"]
    pool = environment.settings.DB_POOL_SIZE + environment.settings.DB_MAX_OVERFLOW
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
