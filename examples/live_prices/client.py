"""A client of server.py that reads nothing for some seconds as in a tunnel, and then sees the newest prices."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import time
from typing import Any

from crosswire import Client

parser = argparse.ArgumentParser(description="A client that prints the age of the prices it gets.")
parser.add_argument("--port", type=int, default=9000, help="port of the server (default: %(default)s)")
parser.add_argument("--stop-for", type=float, default=0, metavar="SECONDS", help="read nothing for so long, once")
options = parser.parse_args()


async def main() -> None:
    client = Client(f"ws://127.0.0.1:{options.port}")
    last = 0
    stopped = options.stop_for == 0

    @client.on("price")
    def price(data: dict[str, Any]) -> None:
        nonlocal last, stopped
        tick = data["tick"]
        if tick > last + 1 > 1:
            print(f"Missed the prices of {tick - last - 1} ticks, and went on with those of tick {tick}", flush=True)
        last = max(last, tick)
        if not stopped:
            stopped = True
            print(f"Reading nothing for {options.stop_for} seconds", flush=True)
            time.sleep(options.stop_for)
            print("Reading again", flush=True)

    async with client:
        while True:
            await asyncio.sleep(1)
            print("The newest price is of tick", last, flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
