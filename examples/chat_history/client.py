"""A client of server.py that loses its connection for some seconds, and misses nothing. See there how to start it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import secrets
from typing import Any

from crosswire import CallTimeout, Client, EventError, NotConnected, RoomState

parser = argparse.ArgumentParser(description="A client that is told whether it has missed something.")
parser.add_argument("name", help="your name")
parser.add_argument("--port", type=int, default=9000, help="port of the server (default: %(default)s)")
parser.add_argument(
    "--talk", type=float, nargs="?", const=0.5, metavar="SECONDS", help="say something, each 0.5 seconds"
)
parser.add_argument(
    "--away-for", type=float, default=0, metavar="SECONDS", help="be away after the first message, once"
)
options = parser.parse_args()

client = Client(f"ws://127.0.0.1:{options.port}", params={"name": options.name}, fast_interval=0.5)
heard: set[str] = set()
is_stale = False
first_message = asyncio.Event()


def show(message: dict[str, Any]) -> None:
    if message["id"] not in heard:  # `last` brings what was heard before, too
        heard.add(message["id"])
        print(f"{message['from']}: {message['text']}", flush=True)


@client.on("said")
def said(message: dict[str, Any]) -> None:
    show(message)
    first_message.set()


@client.on_open
async def opened() -> None:
    await client.call("join")  # at first, and each time when it is back: the server decides again


@client.on_room
async def room_changed(room: RoomState) -> None:
    global is_stale
    if room.recovered is None:
        print("In the room for the first time", flush=True)
    elif room.recovered:
        print("Back: here is all that was said meanwhile", flush=True)
    else:
        print(f"Back: something may be missing ({room.reason}), so I ask for the last messages", flush=True)
        is_stale = True
    if is_stale:
        is_stale = False
        try:
            page = await client.call("last")
        except (CallTimeout, EventError, NotConnected):
            is_stale = True  # the next join is recovered from here, so remember that this is not
        else:
            for message in page["messages"]:
                show(message)
            print("The last messages are loaded", flush=True)


async def talk() -> None:
    number = 0
    while True:
        number += 1
        message = {"id": secrets.token_hex(8), "text": f"sentence {number}"}
        while True:
            try:
                await client.call("say", message)
                break
            except (CallTimeout, EventError, NotConnected):  # perhaps it was said: with its id, that does no harm
                await asyncio.sleep(0.5)
        await asyncio.sleep(options.talk)


async def be_away() -> None:
    await first_message.wait()
    await client.close()
    print(f"Away for {options.away_for} seconds", flush=True)
    await asyncio.sleep(options.away_for)
    await client.connect()


async def main() -> None:
    async with client, asyncio.TaskGroup() as tasks:
        if options.talk:
            tasks.create_task(talk())
        if options.away_for:
            tasks.create_task(be_away())
        await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
