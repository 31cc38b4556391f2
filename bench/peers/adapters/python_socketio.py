"""python-socketio on uvicorn: WebSockets only. Several servers share one Redis through its AsyncRedisManager.

It prints `PORT n` when it listens and stops on SIGTERM.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import socketio  # pyright: ignore[reportMissingImports]  # installed for the comparison alone

from bench.peers.adapters import options
from bench.servers.uvicorn_server import serve

arguments = options.parse(__doc__)
MAX_REDIS_CONNECTIONS = 1000
"""Connections of its pool: every message that is being published holds one, and without one it is lost."""
REPLY = {"msg": "I am a reply to your say event"}
pool = {"max_connections": MAX_REDIS_CONNECTIONS}
manager = socketio.AsyncRedisManager(arguments.redis[0], redis_options=pool) if arguments.redis else None
server = socketio.AsyncServer(async_mode="asgi", transports=["websocket"], client_manager=manager)


@server.event
async def connect(sid: str, environ: dict[str, Any], auth: object) -> bool:
    """Take the user's name from the URL: ?id=7."""
    user = parse_qs(environ["QUERY_STRING"]).get("id")
    if user is None:
        return False
    await server.enter_room(sid, f"user/{user[0]}")
    return True


@server.event
async def publish(sid: str, data: dict[str, str]) -> None:
    """Broadcast a client's message to everyone."""
    await server.emit("news", data)


@server.event
async def publish_room(sid: str, line: dict[str, str]) -> None:
    """Send a client's message to a room."""
    await server.emit("news", {"text": line["text"]}, room=f"chat/{line['room_id']}")


@server.event
async def say(sid: str, data: dict[str, str]) -> dict[str, str]:
    """Answer a call."""
    return REPLY


@server.event
async def join(sid: str, data: dict[str, str]) -> dict[str, bool]:
    """Let the client join a room."""
    await server.enter_room(sid, f"chat/{data['room_id']}")
    return {"ok": True}


@server.event
async def hello(sid: str, data: dict[str, str]) -> dict[str, bool]:
    """Greet a client; every server reaches it from then on."""
    return {"ok": True}


@server.event
async def tell(sid: str, line: dict[str, str]) -> None:
    """Pass on a message from one user to another."""
    await server.emit("told", {"text": line["text"]}, room=f"user/{line['to']}")


if __name__ == "__main__":
    serve(socketio.ASGIApp(server), cert=arguments.cert, key=arguments.key)
