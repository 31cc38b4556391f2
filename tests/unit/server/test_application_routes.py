from __future__ import annotations

from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from crosswire.server.application_routes import has_websocket_route


async def page(request: Any) -> PlainTextResponse:
    return PlainTextResponse("")


async def own(websocket: WebSocket) -> None: ...


async def raw(scope: Any, receive: Any, send: Any) -> None: ...


def starlette() -> Starlette:
    inner = [WebSocketRoute("/own", own), Mount("/deeper", routes=[WebSocketRoute("/own", own)])]
    return Starlette(
        routes=[
            Route("/page", page),
            WebSocketRoute("/own", own),
            WebSocketRoute("/rooms/{room:int}", own),
            Mount("/mounted", routes=inner),
            Mount("/raw", raw),
            Mount("/", raw),
        ]
    )


def fastapi() -> FastAPI:
    app, mounted, router = FastAPI(), FastAPI(), APIRouter(prefix="/rooms")
    app.add_api_websocket_route("/own", own)
    router.add_api_websocket_route("/{room:int}", own)
    app.include_router(router)
    mounted.add_api_websocket_route("/own", own)
    mounted.mount("/deeper", mounted_deeper := FastAPI())
    mounted_deeper.add_api_websocket_route("/own", own)
    app.mount("/mounted", mounted)
    app.add_api_route("/page", page)
    app.mount("/raw", raw)
    return app


@pytest.mark.parametrize("app", [starlette(), fastapi()], ids=["starlette", "fastapi"])
@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("/own", True),
        ("/own/", False),
        ("/rooms/5", True),
        ("/rooms/five", False),
        ("/mounted/own", True),
        ("/mounted/deeper/own", True),
        ("/mounted/other", False),
        ("/mounted", False),
        ("/page", False),
        ("/raw/own", False),
        ("/", False),
        ("/ws", False),
    ],
)
def test_websocket_routes_are_found(app: object, path: str, there: bool) -> None:
    assert has_websocket_route(app, path) is there


class OtherRoutes:
    """An application whose routes are of another kind."""

    def __init__(self) -> None:
        self.routes = [object(), "route"]


@pytest.mark.parametrize("app", [raw, OtherRoutes(), type("Callable", (), {"routes": lambda self: []})()])
def test_other_applications_tell_no_routes(app: object) -> None:
    assert not has_websocket_route(app, "/own")
