"""Crosswire: alone, or a node among several, as a user writes it, without tuning.

Run it as `python -m bench.peers.adapters.crosswire_node --name A [--redis URL]...`. It prints `PORT n` when it listens
and stops on SIGTERM. Like the other servers here it writes no line for each connection. `python -m bench` measures it
too, with handlers that the other servers do not have.
"""

from __future__ import annotations

import argparse

import msgspec

from bench.servers.chat_page import EARLIER_MESSAGES
from bench.servers.plain_application import application
from bench.servers.uvicorn_server import serve
from crosswire import Handshake, Redis, Server, Socket

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--name", required=True, help="unique among the nodes")
parser.add_argument("--redis", action="append", default=[], metavar="URL")
parser.add_argument("--cert", metavar="FILE", help="the certificate, for TLS")
parser.add_argument("--key", metavar="FILE", help="its key")
parser.add_argument("--compression", action="store_true", help="grant permessage-deflate")
parser.add_argument("--metrics", action="store_true", help="count, and serve metrics")
parser.add_argument("--secret", action="store_true", help="sign what goes over Redis")
parser.add_argument("--history", action="store_true", help="keep what is said in rooms")
parser.add_argument("--app", action="store_true", help="serve an ASGI application on the port too")
parser.add_argument("--asgi", action="store_true", help="be served by uvicorn")
arguments = parser.parse_args()
SECRET = "a secret for measurements"
server = Server(
    arguments.name,
    port=0,
    redis=Redis(arguments.redis, secret=SECRET if arguments.secret else None) if arguments.redis else None,
    tls=(arguments.cert, arguments.key) if arguments.cert else None,
    app=application if arguments.app else None,
    compression=arguments.compression,
    metrics=arguments.metrics,
    access_log=False,
)
if arguments.history:
    server.history("chat", size=100, ttl=300)


class JoinRoom(msgspec.Struct):
    """Request of a client to join a room."""

    room_id: str


class RoomLine(msgspec.Struct):
    """Message of a client to a room."""

    room_id: str
    text: str


class Line(msgspec.Struct):
    """Message from one user to another."""

    to: str
    text: str


@server.authenticate
def authenticate(handshake: Handshake) -> str:
    """Take the user's name from the URL: ?id=7."""
    return handshake.query["id"]


@server.on("publish")
def publish(socket: Socket, data: dict[str, str]) -> None:
    """Broadcast a client's message to everyone."""
    server.everyone.send("news", data)


@server.on("publish_page")
def publish_page(socket: Socket, data: dict[str, str]) -> None:
    """Broadcast a client's message to everyone, with the messages before it: some 8 KiB."""
    server.everyone.send("news", {"messages": [*EARLIER_MESSAGES, data]})


@server.on("say")
def say(socket: Socket, data: dict[str, str]) -> dict[str, str]:
    """Answer a call from a plain function."""
    return {"msg": "I am a reply to your say event"}


@server.on("say_async")
async def say_async(socket: Socket, data: dict[str, str]) -> dict[str, str]:
    """Answer a call from a coroutine."""
    return {"msg": "I am a reply to your say event"}


@server.on("join")
async def join(socket: Socket, data: JoinRoom) -> dict[str, bool]:
    """Let the client join a room."""
    await socket.join("chat", data.room_id)
    return {"ok": True}


@server.on("publish_room")
def publish_room(socket: Socket, line: RoomLine) -> None:
    """Send a client's message to a room."""
    server.room("chat", line.room_id).send("news", {"text": line.text})


@server.on("hello")
def hello(socket: Socket, data: dict[str, str]) -> dict[str, bool]:
    """Greet a client; every node reaches it from then on."""
    return {"ok": True}


@server.on("tell")
def tell(socket: Socket, line: Line) -> None:
    """Pass on a message from one user to another."""
    server.user(line.to).send("told", {"text": line.text})


@server.on("ask")
async def ask(socket: Socket, numbers: list[int]) -> int:
    """Let another node answer a client's call."""
    answer: int = await server.cluster.call("B", "sum", numbers)
    return answer


@server.cluster.on("sum")
def total(sender: str, numbers: list[int]) -> int:
    """Answer a call of another node."""
    return sum(numbers)


@server.on_listening
def announce() -> None:
    """Print the port, for the process that started this one."""
    print(f"PORT {server.port}", flush=True)


if __name__ == "__main__":
    if arguments.asgi:
        serve(server.asgi, lifespan="on")
    else:
        server.run(drain=0)
