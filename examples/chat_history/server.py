"""A chat whose rooms keep their last messages: nobody misses what is said while a connection is lost.

Start it, and then client.py in other terminals::

    python examples/chat_history/server.py
    python examples/chat_history/client.py ann --talk
    python examples/chat_history/client.py bob --away-for 5

Start two servers on one port, with one Redis, and kill that which bob is on: he comes back to the other one::

    python examples/chat_history/server.py --redis redis://127.0.0.1:6379
    python examples/chat_history/server.py --redis redis://127.0.0.1:6379
    python examples/chat_history/client.py bob
"""

from __future__ import annotations

import argparse
from typing import Annotated, Any

import msgspec

from crosswire import ConfigError, Handshake, Reject, Server, Socket

parser = argparse.ArgumentParser(description="A Crosswire server whose rooms keep their last messages.")
parser.add_argument("--port", type=int, default=9000, help="port to listen on (default: %(default)s; 0: any)")
parser.add_argument("--redis", metavar="URL", help="of the Redis that several servers have in common")
options = parser.parse_args()

server = Server(port=options.port, redis=options.redis, reuse_port=options.redis is not None)

# Each room of this namespace keeps its last 200 messages, for two minutes. It is enough that one server says so.
server.history("chat", size=200, ttl=120)


class Message(msgspec.Struct):
    """Payload of `say`. The client gives each of its messages an id, so that saying it again says it once."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


@server.authenticate
def who(handshake: Handshake) -> str:
    if name := handshake.query.get("name"):
        return name
    raise Reject(4011, "name missing")


@server.on("join")
async def join(socket: Socket) -> None:
    # A client that comes back gets what it missed. One that is new gets the last three messages.
    await socket.join("chat", "lobby", rewind=3)


@server.on("say")
async def say(socket: Socket, data: Message) -> str:
    # Returns when the message is kept. The position is an opaque token: only `history` needs it.
    message = {"id": data.id, "from": socket.user, "text": data.text}
    return await server.room("chat", "lobby").publish("said", message, id=f"{socket.user}/{data.id}")


@server.on("last")
async def last(socket: Socket) -> dict[str, Any]:
    # For a client that could not be given everything. A real application might read its database instead.
    page = await server.room("chat", "lobby").history(limit=50)
    return {"messages": [each.data for each in page.messages], "complete": page.complete}


if __name__ == "__main__":
    try:
        server.run()
    except ConfigError as error:
        parser.error(str(error))
