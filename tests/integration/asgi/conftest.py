from __future__ import annotations

from contextlib import AsyncExitStack
from weakref import WeakKeyDictionary

import pytest

from crosswire import Server
from crosswire.runtime import loops
from tests.support.aio import LoopFactory
from tests.support.uvicorn_server import running_uvicorn


@pytest.fixture
def loop_factory() -> LoopFactory | None:
    """Run the asynchronous tests of this folder on the kind of loop that uvicorn uses."""
    return loops.loop_factory()


@pytest.fixture
def servers_listen_over_asgi(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every server, instead of listening, be served as an ASGI application by uvicorn, on a free port."""
    start, stop = Server.start, Server.stop
    ports: WeakKeyDictionary[Server, int] = WeakKeyDictionary()
    listening: WeakKeyDictionary[Server, AsyncExitStack] = WeakKeyDictionary()

    async def start_over_asgi(server: Server, *, listen: bool = True) -> None:
        await start(server, listen=False)
        if listen:
            stack = listening[server] = AsyncExitStack()
            ports[server] = await stack.enter_async_context(running_uvicorn(server.asgi, ws_max_size=32 * 1024 * 1024))

    async def stop_over_asgi(server: Server, drain: float = 0) -> None:
        await stop(server, drain)
        if server in listening:
            await listening.pop(server).aclose()

    monkeypatch.setattr(Server, "start", start_over_asgi)
    monkeypatch.setattr(Server, "stop", stop_over_asgi)
    monkeypatch.setattr(Server, "port", property(lambda server: ports.get(server, 0)))
