"""What a client hears when PostgreSQL refuses the COMMIT, or a transaction in it."""

from collections.abc import Generator

import httpx2
import pytest

from tests.harness.postgres import Postgres
from tests.harness.types import Measure

FAILURES = {
    "unique violation": ("RAISE EXCEPTION 'x' USING ERRCODE = '23505'", 409),
    "foreign key violation": ("RAISE EXCEPTION 'x' USING ERRCODE = '23503'", 409),
    "check violation": ("RAISE EXCEPTION 'x' USING ERRCODE = '23514'", 422),
    "serialization failure": ("RAISE EXCEPTION 'x' USING ERRCODE = '40001'", 503),
    "deadlock": ("RAISE EXCEPTION 'x' USING ERRCODE = '40P01'", 503),
    "disk full": ("RAISE EXCEPTION 'x' USING ERRCODE = '53100'", 503),
    "read-only": ("RAISE EXCEPTION 'x' USING ERRCODE = '25006'", 503),
    "statement timeout": ("RAISE EXCEPTION 'x' USING ERRCODE = '57014'", 503),
    "lost connection": ("PERFORM pg_terminate_backend(pg_backend_pid())", 503),
    "mistake in a trigger": ("PERFORM no_such_function()", 500),
}


@pytest.fixture
def refused(
    client: httpx2.Client, postgres: Postgres, request: pytest.FixtureRequest
) -> Generator[None]:
    """Let every COMMIT of a new or changed item fail."""
    postgres.query(
        f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN {request.param}; RETURN NULL; END $$;"
        " CREATE CONSTRAINT TRIGGER refuse AFTER INSERT OR UPDATE ON item"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    yield
    postgres.query("DROP FUNCTION refuse CASCADE")


@pytest.mark.promise(2)
@pytest.mark.parametrize(
    ("refused", "name", "status"),
    [(sql, name, status) for name, (sql, status) in FAILURES.items()],
    ids=list(FAILURES),
    indirect=["refused"],
)
@pytest.mark.usefixtures("refused")
def test_a_commit_that_fails_is_never_a_success(
    client: httpx2.Client, postgres: Postgres, name: str, status: int, measure: Measure
) -> None:
    response = client.post("/items", json={"name": "Lamp"})

    measure(f"A COMMIT that fails, {name}: {response.status_code}.")
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert ("retry-after" in response.headers) == (status == 503)
    assert postgres.query("SELECT count(*) FROM item") == "0"


@pytest.mark.promise(10)
@pytest.mark.parametrize(
    "refused",
    [
        # A sequence keeps its number when the transaction is rolled back.
        "IF nextval('tries') % 2 = 1 THEN RAISE 'x' USING ERRCODE = '40001'; END IF"
    ],
    ids=["serialization failure"],
    indirect=True,
)
@pytest.mark.usefixtures("refused")
def test_a_transaction_that_lost_to_another_is_tried_again_where_the_client_allows_it(
    client: httpx2.Client, postgres: Postgres, measure: Measure
) -> None:
    postgres.query("CREATE SEQUENCE tries")
    try:
        for_once = client.post("/items", json={"name": "Lamp"})
        postgres.query("SELECT setval('tries', 2)")
        repeatable = client.post(
            "/items", json={"name": "Lamp"}, headers={"Idempotency-Key": "one"}
        )
    finally:
        postgres.query("DROP SEQUENCE tries")

    measure(
        f"A serialization failure: {for_once.status_code} to a POST, "
        f"{repeatable.status_code} to one with an Idempotency-Key."
    )
    assert (for_once.status_code, repeatable.status_code) == (503, 201)
    assert postgres.query("SELECT count(*) FROM item") == "1"
