"""Crosswire's demo: a chat server with a page at the same port, and a few scripted clients that talk there.

Run ``make demo``, or where Crosswire is installed::

    python examples/demo/demo.py --port 9000

Ctrl-C ends it. ``chat.py`` is the server, ``bots.py`` the scripted clients, ``page.*`` the page.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import secrets
import sys

from bots import Cast
from chat import Chat
from crosswire import ConfigError
from terminal import Terminal


def main() -> int:
    """Run until Ctrl-C; return the exit code."""
    options = _options()
    terminal = Terminal()
    bot_key = secrets.token_urlsafe()
    chat = Chat(options.host, options.port, terminal, bot_key)
    server = chat.server
    background: list[asyncio.Task[None]] = []
    cast: list[Cast] = []

    @server.on_start
    def started() -> None:
        own = "127.0.0.1" if options.host in ("", "0.0.0.0") else options.host
        address = f"[{own}]:{server.port}" if ":" in own else f"{own}:{server.port}"
        terminal.banner(f"http://{address}")
        cast.append(Cast(f"ws://{address}", bot_key, options.pace))
        cast[0].start()
        background.append(asyncio.create_task(tell_how_it_stands()))

    async def tell_how_it_stands() -> None:
        while True:
            await asyncio.sleep(options.pace * 12)
            people, rooms = len(server.sockets), len(server.rooms.ids("chat"))
            terminal.counts(people, rooms, chat.said)
            chat.news(f"{people} are connected, in {rooms} rooms; {chat.said} messages so far.")

    @server.on_stop
    async def stopped() -> None:
        for task in background:
            task.cancel()
        for each in cast:
            await each.stop()
        terminal.stopped(chat.said)

    logging.basicConfig(level=logging.WARNING)  # the terminal belongs to the chat
    try:
        server.run()
    except ConfigError as error:
        print(f"{error}\nIs the demo running already? Choose another port: make demo PORT=9001", file=sys.stderr)
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Crosswire's demo: a chat with a page and a few scripted clients.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for other devices too")
    parser.add_argument("--port", type=int, default=9000, help="port to listen on (default: %(default)s; 0: any)")
    parser.add_argument("--pace", type=float, default=3, metavar="SECONDS", help="between two lines of the bots")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
