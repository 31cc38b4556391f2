"""A server among several that act as one: wherever a client is connected, messages reach it.

Start some of them, each with its own name and port, then clients.py and control.py; or all at once with run.py::

    python examples/ws_cross_server/server.py --name serverA --port 9000
    python examples/ws_cross_server/server.py --name serverB --port 9001
    python examples/ws_cross_server/clients.py --ports 9000 9001
    python examples/ws_cross_server/control.py --port 9000
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import msgspec

from crosswire import Close, ConfigError, Handshake, Reject, Server, Socket

parser = argparse.ArgumentParser(description="A server for clients.py and control.py.")
parser.add_argument("--name", default="serverA", help="unique among the servers (default: %(default)s)")
parser.add_argument("--port", type=int, default=9000, help="port to listen on (default: %(default)s; 0: any)")
parser.add_argument(
    "--redis",
    nargs="+",
    default=["embedded:ws-cross-server"],
    metavar="URL",
    help="of a Redis or Valkey, or of several; the same for all servers (default: one that is started on this machine)",
)
options = parser.parse_args()

server = Server(options.name, port=options.port, redis=options.redis)


@server.authenticate
def authenticate(handshake: Handshake) -> str:
    if not (user := handshake.query.get("id")):
        raise Reject(4011, "Auth failure")
    return user


@server.on_disconnect
def disconnected(socket: Socket, close: Close) -> None:
    print(f"Client {socket.user} disconnected: {close.code} {close.reason}".rstrip())


class RoomChoice(msgspec.Struct):
    """Payload of `joinRoom`: the id of a room."""

    room: str


@server.on("joinRoom")
async def join_room(socket: Socket, choice: RoomChoice) -> dict[str, str]:
    await socket.join("chat", choice.room)  # from now on messages to the room reach the client, from every server
    return {"msg": f"You joined {choice.room} on {server.name}"}


# Commands of the controlling client. None of these handlers needs to know which server a client is connected to.


class Broadcast(msgspec.Struct):
    """Payload of a message to everyone."""

    text: str


class ToUser(msgspec.Struct):
    """Payload of a message to one user."""

    text: str
    user: str


class ToUsers(msgspec.Struct):
    """Payload of a message to several users."""

    text: str
    users: list[str]


class ToRoom(msgspec.Struct):
    """Payload of a message to a room, except for some of its members."""

    text: str
    room: str
    exclude: list[str] = []


@server.on("broadcast")
def broadcast(socket: Socket, command: Broadcast) -> None:
    server.everyone.send("say", {"text": command.text}, exclude=[socket.user])


@server.on("toUser")
def to_user(_socket: Socket, command: ToUser) -> None:
    server.user(command.user).send("say", {"text": command.text})


@server.on("toUsers")
def to_users(_socket: Socket, command: ToUsers) -> None:
    server.users(command.users).send("say", {"text": command.text})


@server.on("toRoom")
def to_room(_socket: Socket, command: ToRoom) -> None:
    server.room("chat", command.room).send("say", {"text": command.text}, exclude=command.exclude)


# Calls of the controlling client, to check the result. The answers come from all servers, and from their clients.


@server.on("members")
async def members(_socket: Socket, choice: RoomChoice) -> list[str]:
    return sorted(await server.room("chat", choice.room).members())


@server.on("report")
async def report() -> dict[str, Any]:
    replies = await server.everyone.gather("heard", timeout=3)  # calls every client and waits for their answers
    return dict(replies)


@server.on_listening
def listening() -> None:
    print(f"This is {server.name} on port {server.port}; Ctrl-C ends it")


if __name__ == "__main__":
    try:
        server.run()  # until Ctrl-C
    except ConfigError as error:  # the port or the name is in use, for example
        sys.exit(str(error))
