"""A single server: it identifies its clients, answers their calls, and sends to everyone and to a room.

Start it, and then client.py in one or more other terminals::

    python examples/single_server/server.py
    python examples/single_server/client.py --id 16
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable
from typing import Any

from crosswire import Close, ConfigError, Handshake, Reject, Server, Socket

parser = argparse.ArgumentParser(description="A Crosswire server for client.py to talk to.")
parser.add_argument("--port", type=int, default=9000, help="port to listen on (default: %(default)s; 0: any)")
parser.add_argument("--broadcast-every", type=float, default=15, metavar="SECONDS", help="between two `serverSay`")
parser.add_argument("--room-every", type=float, default=10, metavar="SECONDS", help="between two `roomSay`")
options = parser.parse_args()

server = Server(port=options.port)


# Called once for every connection, before any event of it is delivered; returns the user. The client sends its `params`
# in the URL's query. A real application checks a token here; the hook may be `async` and query a database.
@server.authenticate
def authenticate(handshake: Handshake) -> str:
    print("Connection parameters:", handshake.query)
    if not (user := handshake.query.get("id")):
        # 4011 tells the client not to try again. Codes 4000-4999 are for applications.
        raise Reject(4011, "Auth failure")
    return user  # from now on `server.user(user)` reaches this client


@server.on_connect
def connected(socket: Socket) -> None:
    # `socket.data` is yours, for anything that you want to keep with the connection.
    socket.data["name"] = socket.handshake.query.get("name", "somebody")
    print(f"Client {socket.user} connected: {socket.data['name']}")


@server.on_disconnect
def disconnected(socket: Socket, close: Close) -> None:
    # Nothing to clean up: the user and the rooms are gone with the connection.
    print(f"Client {socket.user} disconnected: {close.code} {close.reason}".rstrip())


# An event of a client. The handler's return value answers a call; a client that only sent the event gets no answer.
@server.on("say")
async def say(socket: Socket, data: dict[str, Any]) -> dict[str, str]:
    print(f"Client {socket.user} says: {data}")
    await asyncio.sleep(0.3)  # work that takes a while, so that the client's call is pending
    return {"msg": "I am a reply to your say event"}


@server.on("joinRoom")
async def join_room(socket: Socket) -> dict[str, str]:
    # A room has a namespace and an id; it exists as long as somebody is in it.
    await socket.join("testRoom", "1000")
    print(f"Client {socket.user} is in the room now, with {server.local_rooms.count('testRoom', '1000') - 1} others")
    return {"msg": "JoinRoom successfully"}


def talk_to_everyone() -> None:
    server.everyone.send("serverSay", "Hello, everyone!")


def talk_to_the_room() -> None:
    server.room("testRoom", "1000").send("roomSay", {"msg": "This is a message sent to the test room"})


async def every(seconds: float, action: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(seconds)
        action()


talking: list[asyncio.Task[None]] = []


@server.on_start
def start_talking() -> None:
    talking.append(asyncio.create_task(every(options.broadcast_every, talk_to_everyone)))
    talking.append(asyncio.create_task(every(options.room_every, talk_to_the_room)))


@server.on_listening
def say_what_is_next() -> None:
    print(f"Now run client.py --port {server.port} in another terminal; Ctrl-C ends this")


@server.on_stop
def stop_talking() -> None:
    for task in talking:
        task.cancel()


if __name__ == "__main__":
    try:
        server.run()  # until Ctrl-C
    except ConfigError as error:  # the port is in use, for example
        sys.exit(str(error))
