"""Serves an application over real connections, in the event loop of the tests."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from socket import create_server

import uvicorn
from starlette.types import ASGIApp


@asynccontextmanager
async def live_server(app: ASGIApp) -> AsyncGenerator[str]:
    """Serve an application, whose lifespan the caller runs, and yield its URL."""
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        # For a test that fails while its stream or WebSocket is open.
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    with create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve([listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving
