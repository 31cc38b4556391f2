"""The websockets library with its `broadcast`, on uvloop, as its documentation recommends for speed.

It prints `PORT n` when it listens and stops on SIGTERM.
"""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
from collections import defaultdict
from typing import Any
from urllib.parse import parse_qs, urlsplit

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

from bench.peers.adapters import options

arguments = options.parse(__doc__)
BACKLOG = 2048
"""Connections that wait to be accepted, as with the other servers."""
REPLY = {"msg": "I am a reply to your say event"}
everyone: set[ServerConnection] = set()
rooms: defaultdict[str, set[ServerConnection]] = defaultdict(set)
joined: defaultdict[ServerConnection, list[str]] = defaultdict(list)


async def take(connection: ServerConnection, message: dict[str, Any]) -> None:
    """Do what a client's message asks for, and answer a call."""
    answer: Any = None
    match message["event"]:
        case "publish":
            broadcast(everyone, json.dumps({"event": "news", "payload": message["payload"]}))
        case "publish_room":
            line = {"event": "news", "payload": {"text": message["payload"]["text"]}}
            broadcast(rooms[message["payload"]["room_id"]], json.dumps(line))
        case "say":
            answer = REPLY
        case "join":
            joined[connection].append(message["payload"]["room_id"])
            rooms[message["payload"]["room_id"]].add(connection)
            answer = {"ok": True}
    if "callbackId" in message:
        await connection.send(json.dumps({"payload": answer, "callbackId": message["callbackId"]}))


async def chat(connection: ServerConnection) -> None:
    """Serve a client until it leaves."""
    assert connection.request is not None
    if "id" not in parse_qs(urlsplit(connection.request.path).query):
        await connection.close(4011)
        return
    everyone.add(connection)
    try:
        async for text in connection:
            await take(connection, json.loads(text))
    finally:
        everyone.discard(connection)
        for room in joined.pop(connection, []):
            rooms[room].discard(connection)


def tls() -> ssl.SSLContext | None:
    """Return the context of the server, if it has a certificate."""
    if arguments.cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(arguments.cert, arguments.key)
    return context


async def main() -> None:
    """Run until SIGTERM."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    compression = "deflate" if arguments.compression else None
    async with serve(chat, "127.0.0.1", 0, compression=compression, ssl=tls(), backlog=BACKLOG) as server:
        (listening,) = server.sockets
        print(f"PORT {listening.getsockname()[1]}", flush=True)
        await stopped.wait()


if __name__ == "__main__":
    uvloop.run(main())
