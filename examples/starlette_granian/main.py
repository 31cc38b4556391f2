"""Starlette on granian, with several workers: `granian --interface asgi --workers 2 main:app`.

Each worker is a process with a server of its own. The Redis between them makes them one: a message to a room reaches
clients of all workers, whichever of them has received it.
"""

from __future__ import annotations

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from crosswire import Handshake, Reject, Server, Socket

server = Server(redis=os.environ.get("REDIS", "redis://127.0.0.1:6379"), duplicates="allow")


@server.authenticate
def who(handshake: Handshake) -> str:
    if not (name := handshake.query.get("name")):
        raise Reject(status=401)
    return name


@server.on("join")
async def join(socket: Socket, room: str) -> dict[str, int | str]:
    await socket.join("rooms", room)
    return {"worker": server.name, "members": int(await server.room("rooms", room).count())}


@server.on("say")
def say(socket: Socket, data: dict[str, str]) -> None:
    server.room("rooms", data["room"]).send("said", {"from": socket.user, "text": data["text"]})


async def announce(request: Request) -> Response:
    room = server.room("rooms", request.path_params["room"])
    room.send("said", {"from": "the announcer", "text": (await request.body()).decode()})
    return JSONResponse({"members": sorted((await room.members()).users)}, 202)


routes = [
    Route("/rooms/{room}", announce, methods=["POST"]),
    Mount("/ws", server.asgi),  # clients connect to /ws/, with the slash
]
app = Starlette(routes=routes, lifespan=server.lifespan)
