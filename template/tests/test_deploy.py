"""The settings of each environment in `deploy/`, and the numbers that depend on them."""

import os
import re
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest import mock

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
SETTINGS = ("ConfigMap", "settings")

Resources = dict[tuple[str, str], dict[str, Any]]  # by kind and name


def documents(text: str) -> list[Any]:
    return [document for document in yaml.safe_load_all(text) if document]


def merged(old: Any, new: Any) -> Any:
    """Patch as kustomize does: mappings by their keys, lists by the names in them.

    The items of the patch come first.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        both = old | {key: merged(old.get(key), value) for key, value in new.items()}
        return {key: value for key, value in both.items() if value is not None}
    items = [*old, *new] if isinstance(old, list) and isinstance(new, list) else []
    if items and all(isinstance(item, dict) and "name" in item for item in items):
        before, after = ({item["name"]: item for item in each} for each in (old, new))
        return list((after | merged(before, after)).values())
    return new


def edited(old: Any, path: list[str], operation: str, value: Any) -> Any:
    """Return a copy in which a JSON Patch (RFC 6902) operation changed a path."""
    new = old.copy()  # The aliases of a YAML anchor share one object.
    first, *rest = path
    key: Any = first
    if isinstance(new, list):
        key = len(new) if first == "-" else int(first)
    if rest:
        new[key] = edited(new[key], rest, operation, value)
    elif operation == "remove":
        new.pop(key)
    elif operation == "add" and isinstance(new, list):
        new.insert(key, value)
    else:
        new[key] = value  # kustomize also replaces a key that is not there.
    return new


def patched(resource: dict[str, Any], patch: Any, file: Path) -> dict[str, Any]:
    """Apply a strategic merge patch, which is a mapping, or a JSON patch, a list."""
    if isinstance(patch, dict):
        return merged(resource, patch)
    for each in patch:
        operation, path = each["op"], each["path"]
        known = {"add", "remove", "replace"}
        assert operation in known, f"{file}: these tests cannot apply {operation!r}"
        keys = [key.replace("~1", "/").replace("~0", "~") for key in path.split("/")]
        try:
            resource = edited(resource, keys[1:], operation, each.get("value"))
        except (AttributeError, LookupError, ValueError):
            kind, name = resource["kind"], resource["metadata"]["name"]
            pytest.fail(f"{file}: cannot {operation} {path} in {kind} {name}")
    return resource


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


def generated(
    generator: dict[str, Any], directory: Path, inherited: dict[str, str]
) -> dict[str, Any]:
    """Return the ConfigMap `settings`, from that of the base and a directory's own."""
    own = dict(each.split("=", 1) for each in generator.get("literals") or [])
    for file in generator.get("envs") or []:
        own |= read_literally(directory / file)
    data = own if generator.get("behavior") == "replace" else inherited | own
    return {"kind": "ConfigMap", "metadata": {"name": "settings"}, "data": data}


def targets(
    entry: dict[str, Any], patch: Any, resources: Resources, file: Path
) -> list[tuple[str, str]]:
    """Return the resources that a patch changes: a target's kind and name are patterns."""
    if "target" not in entry:
        assert isinstance(patch, dict), f"{file}: a JSON patch needs a target"
        target = {"kind": patch["kind"], "name": patch["metadata"]["name"]}
    else:
        target = entry["target"]
    selectors = target.keys() & {"labelSelector", "annotationSelector"}
    assert not selectors, f"{file}: these tests read only the kind and name of a target"
    patterns = [target.get(field) or ".*" for field in ("kind", "name")]
    return [each for each in resources if all(map(re.fullmatch, patterns, each))]


def build(directory: Path, known: Resources) -> Resources:
    """Build a directory on known resources, as far as these tests need kustomize."""
    resources = known.copy()
    file = directory / "kustomization.yaml"
    kustomization = yaml.safe_load(file.read_text())
    outdated = kustomization.keys() & {"patchesJson6902", "patchesStrategicMerge"}
    assert not outdated, f"{file}: `kustomize edit fix` replaces {', '.join(outdated)}"
    for entry in kustomization.get("resources") or []:
        path = directory / entry
        if path.is_dir():
            resources |= build(path, {})
        elif path.is_file():  # Other resources have a URL.
            for each in documents(path.read_text()):
                resources[each["kind"], each["metadata"]["name"]] = each
    for generator in kustomization.get("configMapGenerator") or []:
        if generator["name"] == "settings":
            inherited = resources[SETTINGS]["data"] if SETTINGS in resources else {}
            resources[SETTINGS] = generated(generator, directory, inherited)
    for entry in kustomization.get("components") or []:
        resources = build(directory / entry, resources)
    for entry in kustomization.get("patches") or []:
        file = directory / entry.get("path", "kustomization.yaml")
        text = entry.get("patch") or file.read_text()
        for patch in documents(text):
            for each in targets(entry, patch, resources, file):
                resources[each] = patched(resources[each], patch, file)
    return resources


class Environment:
    """An overlay on the base."""

    def __init__(self, overlay: str) -> None:
        self._resources = build(DEPLOY / "overlays" / overlay, {})

    def spec(self, kind: str, name: str = "app") -> dict[str, Any]:
        return self._resources[kind, name]["spec"]

    def container(self, kind: str = "Deployment", name: str = "app") -> dict[str, Any]:
        """Return the container that has the workload's name: others are sidecars."""
        containers = self.spec(kind, name)["template"]["spec"]["containers"]
        return next(each for each in containers if each["name"] == name)

    def variables(self, kind: str, name: str) -> dict[str, str]:
        """Return the variables of a workload, but for those from a Secret."""
        entries = self.container(kind, name).get("env", [])
        own = {each["name"]: each["value"] for each in entries if "value" in each}
        return self._resources[SETTINGS]["data"] | own

    def settings_of(self, kind: str, name: str) -> Settings:
        variables = self.variables(kind, name)
        # A setting of the service's own that is required may come from a Secret.
        secret: dict[str, Any] = {
            setting: getattr(settings, setting)
            for setting, field in Settings.model_fields.items()
            if field.is_required() and setting not in variables
        }
        with mock.patch.dict(os.environ, variables, clear=True):
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
    lifecycle = environment.container()["lifecycle"]
    before_sigterm = lifecycle["preStop"]["sleep"]["seconds"]
    after_sigterm = environment.settings.DRAIN_SECONDS
    after_sigterm += environment.settings.SHUTDOWN_SECONDS

    assert before_sigterm + after_sigterm < pod["terminationGracePeriodSeconds"]


def test_the_service_listens_on_the_port_of_its_container(
    environment: Environment,
) -> None:
    container = environment.container()
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}

    assert ports["http"] == environment.settings.PORT


def test_the_probes_ask_for_a_host_that_is_allowed(environment: Environment) -> None:
    container = environment.container()
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
