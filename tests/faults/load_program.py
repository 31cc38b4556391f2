"""The clients of all nodes, as one process: ``python -m tests.faults.load_program JSON``.

They connect, join their rooms, and write down every message. Commands on stdin, a line each: ``count`` tells how many
came so far, ``report`` which clients lost their connection. It ends when stdin is closed.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from crosswire.runtime import loops
from tests.faults.lines import print_line, stdin_lines
from tests.faults.logs import RECEIVED
from tests.faults.workload import Workload, user

_CONCURRENT_CONNECTS = 20
"""Clients that connect at the same time."""
_CONNECT_TIMEOUT = 20.0
"""Seconds in which a client must connect and join its room."""


class _Frame(msgspec.Struct):
    event: str = ""
    payload: Any = None


class Log:
    """The file of what came.

    Attributes:
        count: messages in it.
        lost: clients whose connection ended.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.count = 0
        self.lost: list[int] = []
        self._file = file
        self._decode = msgspec.json.Decoder(_Frame).decode

    def take(self, client: int, payload: bytes) -> bool:
        """Take a frame; tell whether it is a message, and not the answer to a call."""
        frame = self._decode(payload)
        if frame.event != "n":
            return False
        self.count += 1
        self._file.write(RECEIVED.pack(client, *frame.payload, time.time()))
        return True


class Client(WSListener):  # type: ignore[misc,unused-ignore]  # it is compiled
    """A client that logs each message."""

    def __init__(self, number: int, log: Log) -> None:
        super().__init__()
        self._number = number
        self._log = log
        self.joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Log a message, or note the answer to a call."""
        if frame.msg_type != WSMsgType.TEXT:
            transport.disconnect()
        elif not self._log.take(self._number, frame.get_payload_as_bytes()) and not self.joined.done():
            self.joined.set_result(None)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Note that the connection has ended."""
        self._log.lost.append(self._number)


async def connect(client: int, port: int, room: int, log: Log) -> WSTransport:
    """Connect a client, and return when it is in its room."""
    url = f"ws://127.0.0.1:{port}/?id={user(client)}"
    transport, listener = await ws_connect(
        lambda: Client(client, log), url, websocket_handshake_timeout=_CONNECT_TIMEOUT
    )
    assert isinstance(listener, Client)
    call = {"event": "join", "payload": str(room), "callbackId": "1"}
    transport.send(WSMsgType.TEXT, msgspec.json.encode(call))
    await asyncio.wait_for(listener.joined, _CONNECT_TIMEOUT)
    return transport


async def connect_all(workload: Workload, ports: list[int], log: Log) -> list[WSTransport]:
    """Connect all clients, some at a time."""
    free = asyncio.Semaphore(_CONCURRENT_CONNECTS)

    async def one(client: int) -> WSTransport:
        async with free:
            return await connect(client, ports[workload.node_of(client)], workload.room_of(client), log)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(client)) for client in range(workload.clients * len(ports))]
    return [task.result() for task in tasks]


async def serve(workload: Workload, ports: list[int], file: BinaryIO) -> None:
    """Connect, listen, and answer until stdin is closed."""
    log = Log(file)
    transports = await connect_all(workload, ports, log)
    print_line("ready")
    async for command in stdin_lines():
        if command == "count":
            print_line("count", count=log.count)
        elif command == "report":
            file.flush()
            print_line("report", lost=log.lost)
    for transport in transports:
        transport.disconnect()


def main(options: dict[str, Any]) -> None:
    """Connect the clients and log until the test ends them."""
    with Path(options["log"]).open("xb") as file:
        loops.run(serve(Workload(**options["workload"]), options["ports"], file))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
