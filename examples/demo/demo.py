"""Crosswire's demo: a chat on three nodes that act as one, with a page to look at and a few scripted clients.

Run ``make demo``, or where Crosswire is installed::

    python examples/demo/demo.py --port 9000

Ctrl-C ends it. This starts the nodes as processes of their own, and a Valkey that they meet through. Kill a node with
``kill -9`` and its pid, which is printed: its clients move to the others, and it is started again.

``node.py`` is the program of a node, ``chat.py`` its server, ``peers.py`` what the nodes tell each other; ``nodes.py``
keeps them running, ``bots.py`` are the scripted clients, ``page.*`` is the page.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import secrets
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # to import what the examples share

from examples.processes import Programs

from bots import Cast
from crosswire import ConfigError, Node, Redis
from nodes import Nodes, Options, StartError
from terminal import Terminal


class Demo:
    """All of it but the nodes themselves, which are processes of their own.

    Args:
        options: for the nodes.
        pace: seconds between two lines of the bots.
    """

    def __init__(self, options: Options, pace: float) -> None:
        self._options = options
        self._pace = pace
        self._terminal = Terminal()
        self._cluster = Node("launcher", redis=Redis(options.redis, prefix=options.prefix))
        self._cluster.on("said", self._count)  # the nodes tell each other of every message but the private ones
        self._said = 0

    async def run(self) -> None:
        """Run until cancelled.

        Raises:
            StartError: a node does not start.
            ConfigError: the options of the Redis can't be used, or there is none to embed.
        """
        async with self._cluster, Programs(Path(__file__).parent) as programs:
            nodes = Nodes(self._options, programs, self._cluster, self._terminal)
            await nodes.start()
            self._terminal.banner(nodes.addresses)
            urls = [each.url.replace("http", "ws") for each in nodes.addresses]
            async with asyncio.TaskGroup() as group:
                group.create_task(nodes.keep())
                group.create_task(Cast(urls, self._options.bot_key, self._pace).play())
                group.create_task(self._tell_how_it_stands())

    def stopped(self) -> None:
        """Say the last words."""
        self._terminal.stopped(self._said)

    async def _tell_how_it_stands(self) -> None:
        """Speak to the clients of all nodes, from a process that has none."""
        while True:
            await asyncio.sleep(self._pace * 12)
            people = (await self._cluster.everyone.count()).total
            nodes = len(self._cluster.nodes) - 1  # this one has no clients
            self._terminal.counts(people, nodes, self._said)
            text = f"{people} are connected to {nodes} nodes; {self._said} messages so far."
            self._cluster.everyone.send("news", {"text": text, "at": time.time()})

    def _count(self) -> None:
        self._said += 1


def main() -> int:
    """Run until Ctrl-C; return the exit code."""
    options, pace = _options()
    logging.basicConfig(level=logging.WARNING)  # the terminal belongs to the chat
    demo = Demo(options, pace)
    try:
        asyncio.run(demo.run())
    except KeyboardInterrupt:
        demo.stopped()
        return 0
    except StartError as error:
        print(f"{error}\nIs the demo running already? Choose other ports: make demo PORT=9100", file=sys.stderr)
    except ConfigError as error:
        print(error, file=sys.stderr)
    return 1


def _options() -> tuple[Options, float]:
    parser = argparse.ArgumentParser(description="Crosswire's demo: a chat on three nodes, with a page and some bots.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for other devices too")
    parser.add_argument("--port", type=int, default=9000, help="of the first node (default: %(default)s; 0: any)")
    parser.add_argument(
        "--redis", nargs="+", default=["embedded"], metavar="URL", help="of a Redis or Valkey, or several"
    )
    parser.add_argument("--pace", type=float, default=3, metavar="SECONDS", help="between two lines of the bots")
    parser.add_argument("--restart-after", type=float, default=4, metavar="SECONDS", help="when a node has died")
    given = parser.parse_args()
    return Options(
        host=given.host,
        port=given.port,
        redis=given.redis,
        prefix=f"demo-{secrets.token_hex(4)}:",  # others may run the demo on the same Redis
        bot_key=secrets.token_urlsafe(),
        restart_after=given.restart_after,
    ), given.pace


if __name__ == "__main__":
    sys.exit(main())
