"""Servers of the tests of ``crosswire serve``, which is run in this directory with ``app:server``."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from typing import Any

from crosswire import Compat, EventError, Handshake, Redis, Server, Socket

server = Server("web", port=0)
measured = Server("measured", port=0, metrics=True)
nameless = Server(port=0)
among_originals = Server(
    "mixed", port=0, redis=Redis("redis://127.0.0.1:1", compat=Compat(preset_namespaces=["lobby"]), prefix="mixed:")
)


measured.on("where", lambda: [measured.name, os.getpid()])


@server.authenticate
def who(handshake: Handshake) -> str | None:
    return handshake.query.get("id")


@server.on("where")
def where(_socket: Socket) -> list[Any]:
    return [server.name, os.getpid()]


@server.on("join")
async def join(socket: Socket, room: str) -> None:
    await socket.join("chat", room)


among_originals.authenticate(who)
among_originals.on("join", join)
among_originals.on("where", lambda: [among_originals.name, os.getpid()])
among_originals.cluster.on("double", lambda _sender, data: data * 2)


@server.on("shout")
def shout(_socket: Socket, text: str) -> None:
    server.everyone.send("heard", [server.name, text])


@server.on("slow")
async def slow(_socket: Socket) -> str:
    server.everyone.send("begun", local=True)
    await asyncio.sleep(0.3)
    return "done"


@server.on("stuck")
async def stuck(_socket: Socket) -> None:
    server.everyone.send("begun", local=True)
    with suppress(asyncio.CancelledError):  # which would be reported, and the tests look for what is
        await asyncio.sleep(60)


@server.on("block")
def block(socket: Socket) -> None:
    socket.send("begun")
    asyncio.get_running_loop().call_soon(time.sleep, 60)  # once that is written


@server.cluster.on("poke")
def poke(_sender: str, data: Any) -> None:
    server.everyone.send("poked", [server.name, data], local=True)


@server.cluster.on("double")
def double(_sender: str, data: int) -> int:
    if data == 13:
        raise EventError("unlucky", "not that one")
    return data * 2


@server.cluster.on("never")
async def never(_sender: str) -> None:
    await asyncio.sleep(60)
