"""Fifty clients, spread over the servers: each joins a room, prints its messages, and reports them when it is called.

See server.py for how to start it.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from crosswire import Client

parser = argparse.ArgumentParser(description="Many clients of server.py.")
parser.add_argument("--ports", type=int, nargs="+", default=[9000, 9001, 9002, 9003, 9004], help="of the servers")
parser.add_argument("--clients", type=int, default=50, metavar="N", help="how many (default: %(default)s)")
options = parser.parse_args()

settled: set[int] = set()
"""Clients that have joined their room."""


def room_of(number: int) -> str:
    """Return the room of a client: ten are in the first, fifteen in the second, and the others in the third."""
    return "1000" if number <= 10 else "1001" if number <= 25 else "1002"


def make_client(number: int) -> Client:
    port = options.ports[number % len(options.ports)]
    client = Client(f"ws://127.0.0.1:{port}", params={"id": str(number)})
    heard: list[str] = []

    @client.on("say")
    def say(data: dict[str, Any]) -> None:
        print(f"Client {number} on port {port} got: {data['text']}")
        heard.append(data["text"])

    @client.on("heard")
    def report() -> list[str]:  # a call of the server: the return value is the answer
        reported = heard.copy()
        heard.clear()
        return reported

    @client.on_open  # also after each reconnection: a new connection is in no room
    async def join() -> None:
        await client.call("joinRoom", {"room": room_of(number)})
        settled.add(number)  # the answer was received, so from now on all servers reach the client
        if len(settled) == options.clients:
            print(f"{options.clients} clients are in their rooms, on {len(options.ports)} servers; Ctrl-C ends them")

    return client


async def main() -> None:
    clients = [make_client(number) for number in range(1, options.clients + 1)]
    try:
        await asyncio.gather(*(client.connect() for client in clients))
        await asyncio.Event().wait()
    finally:
        await asyncio.gather(*(client.close() for client in clients))


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        print("Bye")
