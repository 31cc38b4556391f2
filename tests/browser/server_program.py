"""The server of the TypeScript client's tests. It prints its port, and ends with its standard input.

Run: python -m tests.browser.server_program [REDIS]
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import Any

from crosswire import EventError, Handshake, Heartbeat, Identity, Reject, Server, Socket
from crosswire.runtime import environment


async def who(handshake: Handshake) -> str | Identity | None:
    """Let in who has an id, after a delay in seconds; refuse, fail, or expire, if the client wants that."""
    query = handshake.query
    await asyncio.sleep(float(query.get("delay", "0")))
    if "refuse" in query:
        raise Reject(int(query["refuse"]), "as you wish")
    if "fail" in query:
        raise RuntimeError("as the client wishes")
    if "lasts" in query:
        return Identity(query["id"], expires=environment.wall_time() + float(query["lasts"]), claims=query)
    return query.get("id")


def make_server(redis: list[str] | None) -> Server:
    """A server whose handlers do what a test asks for."""
    server = Server(f"js-{os.getpid()}", port=0, redis=redis, heartbeat=Heartbeat(background=0.3))

    server.authenticate(who)

    @server.on("echo")
    def echo(socket: Socket, data: Any) -> Any:
        return data

    @server.on("whoami")
    def whoami(socket: Socket) -> dict[str, Any]:
        return {"user": socket.user, "subprotocol": socket.handshake.subprotocol}

    @server.on("ticket")
    def ticket(socket: Socket) -> Any:
        return None if socket.identity is None else socket.identity.claims["ticket"]

    @server.on("advance")
    def advance(socket: Socket, seconds: float) -> None:
        """Move the clock by which tokens expire ahead."""
        ahead = environment.wall_time() - time.time() + seconds
        environment.wall_time = lambda: time.time() + ahead

    @server.on("refuse")
    def refuse() -> None:
        raise EventError("full", "the room is full")

    @server.on("never")
    async def never() -> None:
        await asyncio.Event().wait()

    @server.on("length")
    def length(socket: Socket, data: str) -> int:
        return len(data)

    add_notes(server)
    add_conversation(server)
    add_history(server)
    return server


def add_notes(server: Server) -> None:
    """Handlers that keep what clients say, and tell it."""
    noted: list[Any] = []

    @server.on("note")
    def note(socket: Socket, data: Any) -> None:
        noted.append(data)

    @server.on("noted")
    def tell_noted() -> list[Any]:
        """Return the notes since the last call."""
        told = noted.copy()
        noted.clear()
        return told


def add_conversation(server: Server) -> None:
    """Handlers that speak to clients by themselves."""

    @server.on("ask")
    async def ask(socket: Socket, data: Any) -> Any:
        """Call the client, and tell it what it answered."""
        try:
            return await socket.call("question", data)
        except EventError as error:
            return {"refused": [error.code, error.message]}

    @server.on("join")
    async def join(socket: Socket, room: str) -> None:
        await socket.join("chat", room)

    @server.on("say")
    def say(socket: Socket, data: dict[str, str]) -> None:
        server.room("chat", data["room"]).send("said", {"by": socket.user, "text": data["text"]})

    @server.on("kick")
    def kick(socket: Socket, code: int) -> None:
        socket.close(code, "as you wish")


def add_history(server: Server) -> None:
    """Rooms that keep history."""
    server.history("kept", size=100, ttl=300)

    @server.on("enter")
    async def enter(socket: Socket, room: str) -> None:
        await socket.join("kept", room)

    @server.on("post")
    async def post(socket: Socket, data: dict[str, Any]) -> None:
        """Answer when it is kept."""
        await server.room("kept", data["room"]).publish("posted", data["text"])


async def main() -> None:
    """Serve until nobody holds the other end of standard input."""
    server = make_server(sys.argv[1:] or None)
    async with server:
        print(server.port, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
