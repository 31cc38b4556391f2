"""A server of a long run, as a process: ``python -m tests.soak.node_program JSON``.

It reads commands from stdin, a line each: ``state``, ``say N`` (N numbered messages to the room), ``clock SECONDS``
(sets its clock that far from the real time) and ``stop SECONDS``. It writes a line of JSON for each answer and event.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class ShiftedClock:
    """The real time, set forward or back.

    Attributes:
        seconds: by which it is ahead.
    """

    def __init__(self, now: Callable[[], float], now_ns: Callable[[], int]) -> None:
        self._now = now
        self._now_ns = now_ns
        self.seconds = 0.0

    def time(self) -> float:
        """Return what ``time.time`` is to return."""
        return self._now() + self.seconds

    def time_ns(self) -> int:
        """Return what ``time.time_ns`` is to return."""
        return self._now_ns() + int(self.seconds * 1e9)


CLOCK = ShiftedClock(time.time, time.time_ns)
time.time, time.time_ns = CLOCK.time, CLOCK.time_ns  # before anything keeps the functions

# ruff: noqa: E402
import asyncio
import ctypes
import gc
import json
import logging
import resource
import sys
from pathlib import Path
from typing import Any

from crosswire import Handshake, Heartbeat, Redis, Server, Socket
from crosswire.runtime import loops
from crosswire.types import GapInfo, NodeInfo
from tests.faults.lines import print_line, stdin_lines

HEARTBEAT = Heartbeat(interval=2, timeout=2)
"""Short, so that the timers of connections that are gone are due soon."""


def make_server(options: dict[str, Any]) -> Server:
    """Make the server, which tells of all that an application is told of."""
    redis = Redis(options["urls"], delivery=options.get("delivery", "fast")) if options.get("urls") else None
    server = Server(
        options["name"],
        port=options.get("port", 0),
        reuse_port=bool(options.get("port")),
        redis=redis,
        heartbeat=HEARTBEAT,
        access_log=False,
    )

    @server.authenticate
    def who(handshake: Handshake) -> str:
        return handshake.query["id"]

    @server.on("join")
    async def join(socket: Socket, room: str) -> bool:
        await socket.join("soak", room)
        return True

    @server.on("leave")
    async def leave(socket: Socket, room: str) -> bool:
        await socket.leave("soak", room)
        return True

    server.on("name", lambda: server.name)
    add_hooks(server)
    return server


def add_hooks(server: Server) -> None:
    """Let the cluster's hooks print what they are told."""

    @server.cluster.on_join
    def joined(info: NodeInfo) -> None:
        print_line("join", name=info.name)

    @server.cluster.on_leave
    def left(info: NodeInfo, reason: str) -> None:
        print_line("leave", name=info.name, reason=reason)

    @server.cluster.on_gap
    def gap(info: GapInfo) -> None:
        print_line("gap", **info._asdict())


def state_of(server: Server) -> dict[str, Any]:
    """Return what the server holds, after a collection of garbage."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    parts = server._instruments._parts
    rooms = server.local_rooms
    return {
        "sessions": len(parts.sessions),
        "sockets": len(server.sockets),
        "rooms": len(rooms.ids("soak")),
        "members": rooms.count("soak"),
        "teardowns": len(parts.sessions.teardowns),
        "timers": sum(map(len, list(parts.wheel._slots.values()))),
        "tasks": len(asyncio.all_tasks()),
        "memory": int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize(),
        "nodes": sorted(server.cluster.nodes),
        "gaps": server.cluster.gaps,
        "refused": server.cluster.refused,
    }


async def main(options: dict[str, Any]) -> None:
    """Serve until stdin is closed, or until it is told to stop."""
    server = make_server(options)
    said = 0
    async with server:
        print_line("ready", port=server.port)
        async for command in stdin_lines():
            word, _, number = command.partition(" ")
            if word == "state":
                print_line("state", **state_of(server))
            elif word == "say":
                for _ in range(int(number)):
                    said += 1
                    server.room("soak", "all").send("n", [server.name, said])
                print_line("said", count=said)
            elif word == "clock":
                CLOCK.seconds = float(number)
                print_line("clock", now=time.time())
            elif word == "stop":
                await server.stop(drain=float(number))
                print_line("stopped")
                return


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    loops.run(main(json.loads(sys.argv[1])))
