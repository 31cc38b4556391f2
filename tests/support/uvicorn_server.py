"""uvicorn in this process, on a free port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from tests.support.aio import wait_until


@asynccontextmanager
async def running_uvicorn(application: Any, **options: Any) -> AsyncIterator[int]:
    """Serve an ASGI application while the context is entered; yield the port."""
    settings: dict[str, Any] = {"port": 0, "log_config": None, "lifespan": "off", **options}
    config = uvicorn.Config(application, **settings)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve())
    try:
        await wait_until(lambda: server.started or serving.done())
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving
