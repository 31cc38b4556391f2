"""A client in the terminal: `python client.py NAME ROOM`; what is typed is said to the room."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from crosswire import Client


async def main(name: str, room: str) -> None:
    client = Client("ws://localhost:8000/ws/", params={"name": name})
    client.on("said", said)

    @client.on_open
    async def join() -> None:  # again after each reconnection
        print("joined:", await client.call("join", room))

    async with client:
        while line := await asyncio.to_thread(sys.stdin.readline):
            client.send("say", {"room": room, "text": line.rstrip()})


def said(data: dict[str, Any]) -> None:
    print(f"{data['from']}: {data['text']}", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
