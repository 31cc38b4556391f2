"""uvicorn in this process, on a free port."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from tests.support.aio import wait_until


@asynccontextmanager
async def running_uvicorn(application: Any, **options: Any) -> AsyncIterator[int]:
    """Serve an ASGI application, without its lifespan, while the context is entered; yield the port."""
    settings: dict[str, Any] = {"port": 0, "log_config": None, "lifespan": "off", **options}
    config = uvicorn.Config(application, **settings)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        # As its shutdown does, which takes a tenth of a second.
        state = server.server_state
        for listener in server.servers:
            listener.close()
        for connection in list(state.connections):
            connection.shutdown()
        await wait_until(lambda: not state.connections and not state.tasks)


def serve_forever(application: Any, listening: socket.socket) -> None:
    """Serve an ASGI application on a socket that listens, on uvloop, until the process is ended."""
    config = uvicorn.Config(application, log_config=None, lifespan="on", loop="uvloop", ws="websockets-sansio")
    uvicorn.Server(config).run([listening])
