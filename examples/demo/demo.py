"""Crosswire's demo: a chat on three nodes that act as one, with a page to look at and a few scripted clients.

Run ``make demo``, or where Crosswire is installed::

    python examples/demo/demo.py --port 9000

Ctrl-C ends it. This starts the nodes as processes of their own, and two Valkeys between them. Kill one of them, on the
page or with ``kill -9`` and its pid, which is printed: the clients of a node move to the others, the messages take the
other Valkey, and the killed process is started again.

``node.py`` is the program of a node, ``chat.py`` its server, ``peers.py`` has the calls between nodes, ``vitals.py``
the state of the cluster; ``nodes.py`` and ``valkeys.py`` keep them running, ``bots.py`` are the scripted clients,
``page/`` is the page.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import secrets
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # to import the module that the examples share

from examples.processes import Programs

from bots import Cast
from crosswire import BusUnavailable, ConfigError, Node
from nodes import NAMES as NODES
from nodes import Nodes, Options
from peers import meet_through
from restarts import StartError
from terminal import Terminal
from valkeys import NAMES as VALKEYS
from valkeys import Valkeys
from vitals import LAUNCHER, OWN_MACHINE, Victim

FOLDER = Path(__file__).parent


class Demo:
    """The main process of the demo; the nodes and the Valkeys are processes of their own.

    Args:
        given: options of the command line.
    """

    def __init__(self, given: argparse.Namespace) -> None:
        self._given = given
        self._terminal = Terminal()
        self._said = 0

    async def run(self) -> None:
        """Run until cancelled.

        Raises:
            StartError: a node or a Valkey does not start.
            ConfigError: the options of the Redis can't be used.
        """
        # The nodes end before the Valkeys, as they send their last messages through them.
        async with Programs(FOLDER) as stores, Programs(FOLDER) as programs:
            valkeys = Valkeys(stores, self._terminal, self._given.restart_after)
            places = [] if self._given.redis else await valkeys.start()
            options = _options(self._given, self._given.redis or [each.url for each in places])
            async with Node(LAUNCHER, redis=meet_through(options.redis, options.prefix)) as cluster:
                nodes = Nodes(options, programs, cluster, self._terminal)
                cluster.on("said", self._count)  # the nodes tell each other of every message but the private ones
                cluster.on("kill", _killer(nodes, valkeys))
                addresses = await nodes.start()
                self._terminal.banner(addresses, places)
                urls = [each.url.replace("http", "ws") for each in addresses]
                async with asyncio.TaskGroup() as group:
                    group.create_task(valkeys.keep())
                    group.create_task(nodes.keep())
                    group.create_task(Cast(urls, options.bot_key, self._given.pace).play())
                    group.create_task(self._send_counts(cluster))

    def stopped(self) -> None:
        """Log the end of the demo."""
        self._terminal.stopped(self._said)

    async def _send_counts(self, cluster: Node) -> None:
        """Send news to the clients of all nodes, from a process that has none."""
        while True:
            await asyncio.sleep(self._given.pace * 12)
            with suppress(BusUnavailable):  # both Valkeys are gone
                people = (await cluster.everyone.count()).total
                nodes = len(cluster.nodes) - 1  # this one has no clients
                self._terminal.counts(people, nodes, self._said)
                text = f"{people} are connected to {nodes} nodes; {self._said} messages so far."
                cluster.everyone.send("news", {"text": text, "at": time.time()})

    def _count(self) -> None:
        self._said += 1


def _killer(nodes: Nodes, valkeys: Valkeys) -> Callable[[str, Victim], None]:
    """Return the handler that kills a node or a Valkey; a node has checked that it is allowed."""

    def kill(_sender: str, victim: Victim) -> None:
        if victim.name in NODES:
            nodes.kill(victim.name)
        else:
            valkeys.kill(victim.name)

    return kill


def main() -> int:
    """Run until Ctrl-C; return the exit code."""
    given = _command_line()
    logging.basicConfig(level=logging.WARNING)  # the terminal belongs to the chat
    demo = Demo(given)
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


def _command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Crosswire's demo: a chat on three nodes, with a page and some bots.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for other devices too")
    parser.add_argument("--port", type=int, default=9000, help="of the first node (default: %(default)s; 0: any)")
    parser.add_argument(
        "--redis", nargs="+", metavar="URL", help="of a Redis or Valkey, or several (default: own ones)"
    )
    parser.add_argument("--pace", type=float, default=3, metavar="SECONDS", help="between two lines of the bots")
    parser.add_argument(
        "--restart-after", type=float, default=4, metavar="SECONDS", help="when a node or an own Valkey has died"
    )
    return parser.parse_args()


def _options(given: argparse.Namespace, redis: Sequence[str]) -> Options:
    return Options(
        host=given.host,
        port=given.port,
        redis=redis,
        prefix=f"demo-{secrets.token_hex(4)}:" if given.redis else "cw:",  # others may run the demo on the same Redis
        bot_key=secrets.token_urlsafe(),
        killable=[*NODES, *(() if given.redis else VALKEYS)] if given.host in OWN_MACHINE else [],
        restart_after=given.restart_after,
    )


if __name__ == "__main__":
    sys.exit(main())
