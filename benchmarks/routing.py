"""What a service's number of features costs a request: make benchmark-routing.

Runs in a rendered project. Each request goes to the last feature, answers nothing, and
passes no middleware, so that what is left is FastAPI and its search for the route.
"""

import asyncio
import statistics
from time import process_time

from app.core.http.routing import FeatureRouter
from fastapi import APIRouter, FastAPI, Response
from starlette.types import ASGIApp, Message

NUMBERS_OF_FEATURES = (1, 10, 50)
ROUNDS, REQUESTS = 7, 200


async def answer() -> Response:
    return Response()


def application(kind: type[APIRouter], features: int) -> FastAPI:
    """Return one with features of seven routes, included as the template does."""
    app, api = FastAPI(openapi_url=None), APIRouter()
    for number in range(features):
        router = kind(prefix=f"/feature-{number:02}")
        for path in ("", "/{key}", "/{key}/parts"):
            router.get(path)(answer)
            router.post(path)(answer)
        router.delete("/{key}")(answer)
        api.include_router(router)
    app.include_router(api)
    return app


async def microseconds(app: ASGIApp, path: str) -> float:
    """Return the CPU time of one request."""

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        assert message.get("status", 200) == 200

    start = process_time()
    for _ in range(REQUESTS):
        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "query_string": b"",
            "headers": [],
        }
        await app(scope, receive, send)
    return (process_time() - start) / REQUESTS * 1e6


async def main() -> None:
    print("| features | APIRouter µs | FeatureRouter µs | × |\n|--:|--:|--:|--:|")
    for features in NUMBERS_OF_FEATURES:
        path = f"/feature-{features - 1:02}/key"
        apps = [application(kind, features) for kind in (APIRouter, FeatureRouter)]
        rounds = [
            [await microseconds(app, path) for app in apps] for _ in range(ROUNDS)
        ]
        plain, ours = map(statistics.median, zip(*rounds[1:], strict=True))
        print(f"| {features} | {plain:.0f} | {ours:.0f} | {plain / ours:.1f} |")


asyncio.run(main())
