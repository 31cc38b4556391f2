"""The Crosswire server that is measured, as a user would write it, without tuning.

Run it as `python -m bench.servers.crosswire_server`, with `--app` for an application on its port, with `--metrics` to
count what it does, with `--compression` to compress, with `--asgi` as an ASGI application on uvicorn. It prints
`PORT n` when it listens and stops on SIGTERM.
"""

import argparse
import asyncio
import signal

import msgspec
import uvloop

from bench.servers.chat_page import EARLIER_MESSAGES
from bench.servers.plain_application import application
from bench.servers.uvicorn_server import serve
from crosswire import Handshake, Server, Socket

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--app", action="store_true", help="serve an ASGI application on the port too")
parser.add_argument("--metrics", action="store_true", help="count, and serve metrics")
parser.add_argument("--compression", action="store_true", help="grant permessage-deflate")
parser.add_argument("--asgi", action="store_true", help="be served by uvicorn")
arguments = parser.parse_args()
server = Server(
    port=0,
    app=application if arguments.app else None,
    metrics=arguments.metrics,
    compression=arguments.compression,
)


class JoinRoom(msgspec.Struct):
    """Request of a client to join a room."""

    room_id: str


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


async def main() -> None:
    """Run until SIGTERM, as `server.run()` does; print the port, for the process that started this one."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with server:
        print(f"PORT {server.port}", flush=True)
        await stopped.wait()


if __name__ == "__main__":
    if arguments.asgi:
        serve(server.asgi, lifespan="on")
    else:
        uvloop.run(main())
