"""Two servers of one application, and its lifespan."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from crosswire import Handshake, Limits, Reject, Server, Socket


def make_server(name: str) -> Server:
    server = Server(name, limits=Limits(max_message=100_000))

    @server.authenticate
    async def who(handshake: Handshake) -> str | None:
        if "status" in handshake.query:
            raise Reject(status=int(handshake.query["status"]), reason="refused")
        if "code" in handshake.query:
            raise Reject(int(handshake.query["code"]), "refused")
        return handshake.query.get("id")

    @server.on("say")
    async def say(socket: Socket, data: Any) -> dict[str, Any]:
        await socket.join("chat", "1")
        server.room("chat", "1").send("said", data)
        return {"server": server.name, "user": socket.user, "path": socket.handshake.path, "data": data}

    @server.on("leave")
    def leave(socket: Socket) -> None:
        socket.close(4000, "as you wish")

    @server.on_disconnect
    def gone(socket: Socket, close: Any) -> None:
        print(f"{socket.user} gone with {close.code}", flush=True)

    server.on_start(lambda: print(f"{name} started", flush=True))
    server.on_stop(lambda: print(f"{name} stopped", flush=True))
    server.get("/page", lambda: f"a page of {name}")
    return server


chat, game = make_server("chat"), make_server("game")


@asynccontextmanager
async def both(_app: object) -> AsyncIterator[None]:
    async with chat.lifespan(), game.lifespan():
        yield
