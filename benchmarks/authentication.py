"""What judging a remembered access token costs a request: make benchmark-authentication.

Runs in a project that was rendered with the answer `oidc`. The requests pass no middleware,
so that what is left is FastAPI and what a ProtectedRouter adds to it.
"""

import asyncio
import statistics
from time import process_time

from app.core import auth
from app.core.auth import ProtectedRouter, requires
from app.core.http.routing import FeatureRouter
from fastapi import APIRouter, FastAPI, Response
from starlette.types import ASGIApp, Message
from tests.identities import accepted_tokens, bearer

ROUNDS, REQUESTS = 15, 1000


async def answer() -> Response:
    return Response()


def application(router: APIRouter, **options: list[object]) -> FastAPI:
    app = FastAPI(openapi_url=None)
    router.get("/lamps", **options)(answer)
    app.include_router(router)
    return app


async def microseconds(app: ASGIApp, headers: list[tuple[bytes, bytes]]) -> float:
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
            "path": "/lamps",
            "query_string": b"",
            "headers": headers,
        }
        await app(scope, receive, send)
    return (process_time() - start) / REQUESTS * 1e6


async def main() -> None:
    auth.tokens = accepted_tokens()
    sent = bearer("ann", "lamps:read", "lamps:write").items()
    headers = [(name.lower().encode(), value.encode()) for name, value in sent]
    apps = {
        "open": application(FeatureRouter()),
        "with a token": application(ProtectedRouter()),
        "with a token and two permissions": application(
            ProtectedRouter(requires="lamps:read"),
            dependencies=[requires("lamps:write")],
        ),
    }
    rounds = [
        [await microseconds(app, headers) for app in apps.values()]
        for _ in range(ROUNDS)
    ]
    bare, *_ = medians = [
        statistics.median(times) for times in zip(*rounds[1:], strict=True)
    ]
    print("| route | CPU µs | more µs |\n|--|--:|--:|")
    for name, median in zip(apps, medians, strict=True):
        print(f"| {name} | {median:.0f} | {median - bare:.0f} |")


asyncio.run(main())
