"""Text sorts, compares and is found alike in every place that has a PostgreSQL."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.harness.postgres import Postgres, local_postgres
from tests.harness.project import Project
from tests.harness.types import Render

OF_ANY_SERVER = ("--username=postgres", "--auth=trust", "--no-sync")
BEHAVIOR = """
    SELECT current_setting('server_encoding'), lower('ÉΣЖ'), upper('straße éσж'),
        initcap('élan'), 'É' ILIKE 'é', 'Élan' ~* 'ÉLAN', 'é' ~ '[[:alpha:]]',
        (SELECT string_agg(word, ' ' ORDER BY word)
         FROM unnest('{b,B,a,A,é,É,z,_,1,10,2,ß,Ж}'::text[]) AS word)
"""


def container_options(project: Project, path: str, *keys: str) -> list[str]:
    """Return the options that the image of PostgreSQL gets from the variables in a file."""
    found: Any = yaml.safe_load((project.path / path).read_text())
    for key in keys:
        found = found[key]
    return found["POSTGRES_INITDB_ARGS"].split()


def cluster_options(project: Project) -> list[str]:
    """Return the options that CloudNativePG derives from a Cluster, with its defaults."""
    path = project.path / "deploy" / "base" / "database.yaml"
    cluster, _ = yaml.safe_load_all(path.read_text())
    initdb = cluster["spec"]["bootstrap"]["initdb"]
    defaults = {"encoding": "UTF8", "localeCollate": "C", "localeCType": "C"}
    options = {
        "encoding": "encoding",
        "localeCollate": "lc-collate",
        "localeCType": "lc-ctype",
        "locale": "locale",
        "localeProvider": "locale-provider",
        "builtinLocale": "builtin-locale",
    }
    values = defaults | initdb
    return [f"--{options[key]}={values[key]}" for key in options if key in values]


def behavior(project: Project, path: Path, options: Sequence[str]) -> str:
    """Return what a database that was made with these options of initdb answers."""

    class Server(Postgres):
        initdb_options = options

    server = Server(project, path)
    server.start()
    try:
        return server.query(BEHAVIOR)
    finally:
        server.close()


def test_text_behaves_alike_in_development_pipelines_compose_and_a_cluster(
    render: Render, installed: Render, tmp_path: Path, record_property: Any
) -> None:
    checks, job = ".github/workflows/template-checks.yml", ("jobs", "tests")
    pipeline = ".gitlab/template/checks.yml"
    places = {
        "GitHub": container_options(
            render(ci="github"), checks, *job, "services", "database", "env"
        ),
        "GitLab": container_options(
            render(ci="gitlab"), pipeline, "template-tests", "variables"
        ),
        "Compose": container_options(
            render(), "compose.yaml", "services", "database", "environment"
        ),
        "a cluster": cluster_options(render(kubernetes=True)),
    }
    options = {tuple(each) for each in places.values()}
    local = behavior(installed(), tmp_path / "local", local_postgres.INITDB_OPTIONS)

    answers = {
        each: behavior(installed(), tmp_path / str(number), [*each, *OF_ANY_SERVER])
        for number, each in enumerate(options)
    }

    assert local.startswith("UTF8|éσж|STRAßE ÉΣЖ|Élan|t|t|t|")
    assert {place: answers[tuple(each)] for place, each in places.items()} == (
        dict.fromkeys(places, local)
    )
    record_property("measure", f"Text behaves alike in {len(places) + 1} places.")
