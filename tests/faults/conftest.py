"""A rendered service in production, and a PostgreSQL that may be stopped under it."""

from collections.abc import Generator

import httpx2
import pytest

from tests.harness.postgres import Postgres
from tests.harness.project import Project
from tests.harness.serving import Service, serving
from tests.harness.types import Render


@pytest.fixture(scope="module")
def project(installed: Render) -> Project:
    return installed()


@pytest.fixture(scope="module")
def postgres(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Postgres]:
    postgres = Postgres(project, tmp_path_factory.mktemp("postgres"))
    postgres.start()
    yield postgres
    postgres.close()


@pytest.fixture(scope="module")
def service(project: Project, postgres: Postgres) -> Generator[Service]:
    with serving(project, postgres) as service:
        yield service


@pytest.fixture
def client(service: Service, postgres: Postgres) -> httpx2.Client:
    """A client of the service, with empty tables."""
    postgres.empty()
    return service.client
