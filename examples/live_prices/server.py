"""Live prices and cursors: what only the newest of matters, for clients on any network.

Start it, and then client.py in other terminals::

    python examples/live_prices/server.py
    python examples/live_prices/client.py
    python examples/live_prices/client.py --stop-for 5
"""

from __future__ import annotations

import argparse
import asyncio
import random
from typing import Any

from crosswire import ConfigError, Server, Socket

parser = argparse.ArgumentParser(description="A Crosswire server that sends prices 50 times a second.")
parser.add_argument("--port", type=int, default=9000, help="port to listen on (default: %(default)s; 0: any)")
options = parser.parse_args()

ITEMS = [f"item {number}" for number in range(50)]
LEVELS = 200

server = Server(port=options.port)

# A client that reads too slowly gets the newest price of each item once it can, and none of those before it. Without
# this, what it has not read would wait, and it would be dropped once that is more than `Limits.outbox`.
server.policy("price", "latest", key="item")

# A cursor is worth nothing a moment later: a client that is behind misses it.
server.policy("cursor", "volatile")


@server.on("cursor")
def cursor(socket: Socket, data: dict[str, Any]) -> None:
    server.everyone.send("cursor", {"user": socket.user, **data}, exclude=[socket])


async def send_prices() -> None:
    tick = 0
    while True:
        tick += 1
        for item in ITEMS:
            book = [[random.randrange(10_000), random.randrange(100)] for _ in range(LEVELS)]
            server.everyone.send("price", {"item": item, "tick": tick, "book": book})
        server.everyone.send("cursor", {"user": "the server", "x": tick % 100})
        if tick % 50 == 0:
            status = await server.cluster.status()
            print("Not sent to slow clients so far:", status[server.name].skipped, flush=True)
        await asyncio.sleep(0.02)


prices: list[asyncio.Task[None]] = []


@server.on_start
def start() -> None:
    prices.append(asyncio.create_task(send_prices()))


@server.on_stop
def stop() -> None:
    for task in prices:
        task.cancel()


if __name__ == "__main__":
    try:
        server.run()
    except ConfigError as error:
        parser.error(str(error))
