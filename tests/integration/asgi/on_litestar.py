"""Two servers in an application of Litestar."""

from __future__ import annotations

from typing import Any

from litestar import Litestar, asgi, get, websocket
from litestar.connection import WebSocket

from tests.integration.asgi.servers import chat, game


@websocket("/route")
async def route(socket: WebSocket[Any, Any, Any]) -> None:
    await chat.accept(socket, user=f"user of {socket.query_params['token']}")


@get("/own", sync_to_thread=False)
def own() -> str:
    return "the application's own"


app = Litestar(
    [
        asgi("/chat", is_mount=True, copy_scope=True)(chat.asgi),
        asgi("/game", is_mount=True, copy_scope=True)(game.asgi),
        route,
        own,
    ],
    lifespan=[chat.lifespan, game.lifespan],
)
