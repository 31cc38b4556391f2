"""Two servers in an application of Starlette."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from tests.integration.asgi.servers import both, chat, game


async def route(websocket: WebSocket) -> None:
    await chat.accept(websocket, user=f"user of {websocket.query_params['token']}")


app = Starlette(
    routes=[
        Mount("/chat", chat.asgi),
        Mount("/game", game.asgi),
        WebSocketRoute("/route", route),
        Route("/own", lambda _request: PlainTextResponse("the application's own")),
    ],
    lifespan=both,
)
