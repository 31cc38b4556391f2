"""A server whose rooms keep history, as a process: ``python -m tests.faults.history.node_program JSON``.

It obeys ``publish``, ``pause``, ``last`` (one more message of each stream) and ``report`` on stdin. SIGTERM lets it
stop as a deploy does; it also ends when stdin is closed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from pathlib import Path
from typing import Any

from crosswire import Redis, Server
from crosswire.runtime import loops
from tests.faults.history.workload import NAMESPACE, NODES, RoomWorkload
from tests.faults.lines import print_line, stdin_lines
from tests.faults.node_program import Publisher, add_handlers

DRAIN = 0.5
"""Seconds over which a server that gets SIGTERM closes its connections."""
TTL = 120.0
"""Seconds for which rooms keep messages: longer than most clients are away."""


def make_server(options: dict[str, Any], workload: RoomWorkload) -> Server:
    """Make the server; all listen on the same port."""
    server = Server(
        options["name"],
        port=options["port"],
        reuse_port=True,
        redis=Redis(options["urls"], delivery=options["delivery"]),
        access_log=False,
    )
    server.history(NAMESPACE, size=workload.size, ttl=TTL)
    add_handlers(server)
    return server


def make_publisher(server: Server, life: int, workload: RoomWorkload, log: Path) -> Publisher:
    """Make the publisher of the streams of this process."""
    rooms = range(workload.rooms)
    streams = [(workload.stream(life, room), server.room(NAMESPACE, str(room))) for room in rooms]
    return Publisher(streams, rooms, workload.rate / NODES, log)


async def obey(server: Server, publisher: Publisher) -> None:
    """Obey commands until stdin is closed."""
    async for command in stdin_lines():
        if command == "publish":
            publisher.start()
        elif command == "pause":
            await publisher.stop()
            print_line("paused")
        elif command == "last":
            print_line("last", messages=publisher.say_last())
        elif command == "report":
            cluster = server.cluster
            print_line("report", gaps=cluster.gaps, dropped=cluster.dropped, refused=cluster.refused)


async def main(options: dict[str, Any]) -> None:
    """Serve until stdin is closed, or SIGTERM comes."""
    terminated = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminated.set)
    workload = RoomWorkload(**options["workload"])
    server = make_server(options, workload)
    publisher = make_publisher(server, options["life"], workload, Path(options["log"]))
    async with server:
        print_line("ready", port=server.port)
        ends = [asyncio.create_task(obey(server, publisher)), asyncio.create_task(terminated.wait())]
        done, waiting = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for each in waiting:
            each.cancel()
        await asyncio.wait(ends)
        for each in done:
            each.result()
        await publisher.stop()
        await server.stop(drain=DRAIN if terminated.is_set() else 0)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    loops.run(main(json.loads(sys.argv[1])))
