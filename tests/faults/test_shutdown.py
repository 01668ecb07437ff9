"""How a service ends when it is told to."""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections import Counter

import httpx2
import pytest

from tests.harness.postgres import Postgres
from tests.harness.project import Project, wait_until
from tests.harness.serving import concurrently, serving
from tests.harness.types import Measure


@pytest.mark.promise(17)
def test_sigterm_under_load_fails_no_request_and_ends_with_0(
    project: Project, postgres: Postgres, measure: Measure
) -> None:
    with serving(project, postgres, DRAIN_SECONDS="0.5") as service:

        async def ask(many: httpx2.AsyncClient) -> Counter[object]:
            outcomes: Counter[object] = Counter()

            async def one(number: int) -> None:
                try:
                    response = await many.post("/items", json={"name": f"{number}"})
                    outcomes[response.status_code] += 1
                except httpx2.TransportError as error:
                    outcomes[type(error).__name__] += 1

            running, ready = [], True
            for number in range(1000):
                if number == 400:
                    os.kill(service.process, signal.SIGTERM)
                # As a load balancer does, until it knows that the service ends.
                if number % 20 == 0 and number >= 400:
                    with contextlib.suppress(httpx2.TransportError):
                        ready = (await many.get("/readyz")).status_code == 200
                if not ready:
                    break
                running.append(asyncio.create_task(one(number)))
                await asyncio.sleep(1 / 200)
            await asyncio.gather(*running)
            return outcomes

        outcomes = concurrently(service.client, ask)
        exit_code = service.end()
    output = (project.path / "output.txt").read_text()
    stored = postgres.query("SELECT count(*) FROM item")

    measure(f"SIGTERM at 200 requests a second: {dict(outcomes)}, exit {exit_code}.")
    assert set(outcomes) == {201}
    assert stored == str(outcomes[201])
    assert exit_code == 0
    assert "Application shutdown complete" in output
    assert (
        postgres.query(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        == "0"
    )


@pytest.mark.promise(17)
def test_sigterm_fails_no_request_of_a_client_that_ignores_readiness(
    project: Project, postgres: Postgres, measure: Measure
) -> None:
    """Its connections are kept until told to leave; a new one leads to another service."""
    with (
        serving(project, postgres) as other,
        serving(project, postgres, DRAIN_SECONDS="1") as service,
    ):

        async def one_connection(outcomes: Counter[object]) -> None:
            url, requests = service.client.base_url, 40
            while requests:
                async with httpx2.AsyncClient(base_url=url, timeout=10) as client:
                    is_kept = True
                    while is_kept and requests:
                        requests -= 1
                        await asyncio.sleep(0.1)
                        try:
                            response = await client.get("/items")
                            outcomes[response.status_code] += 1
                            is_kept = response.headers.get("connection") != "close"
                        except httpx2.TransportError as error:
                            outcomes[type(error).__name__] += 1
                            is_kept = False
                url = other.client.base_url

        async def ask(_: httpx2.AsyncClient) -> Counter[object]:
            outcomes: Counter[object] = Counter()
            asking = [asyncio.create_task(one_connection(outcomes)) for _ in range(10)]
            await asyncio.sleep(1)
            os.kill(process, signal.SIGTERM)
            await asyncio.gather(*asking)
            return outcomes

        process = service.process
        outcomes = concurrently(service.client, ask)
        _, status = os.waitpid(process, 0)

    measure(f"SIGTERM, 10 kept connections, 100 requests a second: {dict(outcomes)}.")
    assert outcomes == {200: 400}
    assert os.waitstatus_to_exitcode(status) == 0


def test_a_second_signal_ends_a_service_that_waits_for_its_load_balancer(
    project: Project, postgres: Postgres
) -> None:
    with serving(project, postgres, DRAIN_SECONDS="3600") as service:
        os.kill(service.process, signal.SIGTERM)
        wait_until(lambda: service.client.get("/readyz").status_code == 503)

        exit_code = service.terminate()

    assert exit_code == 0


@pytest.mark.promise(17)
def test_a_client_that_never_ends_its_request_does_not_keep_a_service_alive(
    project: Project, postgres: Postgres, measure: Measure
) -> None:
    half = b"POST /items HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with serving(project, postgres, SHUTDOWN_SECONDS="2") as service:
        address = (service.client.base_url.host, service.client.base_url.port)
        with socket.create_connection(address, timeout=10) as connection:
            connection.sendall(half + b"Content-Length: 9\r\n\r\n{")
            start = time.monotonic()
            exit_code = service.terminate()
            seconds = time.monotonic() - start

    measure(f"A stuck request at SIGTERM: exit {exit_code} after {seconds:.1f} s.")
    assert exit_code == 0
    assert seconds < 25
