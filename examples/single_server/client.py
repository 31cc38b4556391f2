"""A client of server.py: it calls the server, joins a room, measures the latency and comes back after a loss.

Stop the server while it runs, and start it again, to see it reconnect. Give it no id to see it refused::

    python examples/single_server/client.py --id 16
    python examples/single_server/client.py --id ""
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import Any

from crosswire import CallTimeout, Client, Close, EventError, NotConnected

parser = argparse.ArgumentParser(description="A Crosswire client for server.py.")
parser.add_argument("--port", type=int, default=9000, help="port of the server (default: %(default)s)")
parser.add_argument("--id", default="1", help="user to connect as (default: %(default)s)")
parser.add_argument("--pace", type=float, default=2, metavar="SECONDS", help="between two steps (default: %(default)s)")
parser.add_argument("--ping-every", type=float, default=10, metavar="SECONDS", help="between two heartbeats")
parser.add_argument("--retry-limit", type=int, metavar="N", help="give up after so many attempts in a row")
options = parser.parse_args()

client = Client(
    f"ws://localhost:{options.port}",
    params={"name": "Sam", "id": options.id},  # go into the URL's query; the server reads them when it authenticates
    ping_interval=options.ping_every,
    retry_limit=options.retry_limit,
)
over = asyncio.Event()  # set when the client will not come back by itself


# Hooks of the connection. None of them is necessary: the client reconnects by itself.


@client.on_open
def opened() -> None:
    print("Connected")


@client.on_close
def closed(close: Close) -> None:
    print(f"Closed: {close.code} {close.reason}".rstrip())
    if not client.reconnecting:
        # 4001: closed by ourselves, 4010: logged out, 4011: not authenticated, 4012: replaced by a newer connection of
        # the same user, 1008: against the server's policy. Client(reconnect_policy=...) takes another policy.
        print("The close code says to stay away: no reconnection")
        over.set()


@client.on_reconnect
def reconnecting(attempt: int, delay: float) -> None:
    # The first attempts are made soon, later ones after longer and longer delays. Each delay is random up to its bound,
    # so that a thousand clients of a restarted server do not reconnect at the same moment.
    print(f"Attempt {attempt} to connect again in {delay:.1f} s")


@client.on_give_up
def gave_up(limit: int) -> None:
    print(f"Gave up after {limit} attempts")
    over.set()


@client.on_error
def failed(error: BaseException) -> None:
    print(f"Error: {error}")


@client.on_pong
def pong(milliseconds: float) -> None:
    print(f"Latency: {milliseconds:.1f} ms")


# Events of the server.


@client.on("serverSay")
def server_says(data: str) -> None:
    print(f"The server says to everyone: {data}")


@client.on("roomSay")
def room_says(data: dict[str, Any]) -> None:
    print(f"The server says to the room: {data}")


# Calls: events that are answered. There are two styles.


async def say_and_wait() -> None:
    """Call and await the answer. `on_pending` is called if that takes more than 0.1 s: time to show a spinner."""
    message = {"msg": f"I am client {options.id}, and I await your reply"}
    try:
        reply = await client.call("say", message, on_pending=lambda: print("Waiting for the reply ..."))
        print(f"Awaited reply: {reply}")
    except EventError as error:  # the server's handler refused: raise EventError("full", "the room is full")
        print(f"Refused: {error.code} {error.message}")
    except CallTimeout:
        print("No reply in time")
    except NotConnected:
        print("Not connected")


def say_and_go_on() -> None:
    """Call without waiting; a callback gets the result."""
    message = {"msg": f"I am client {options.id}, and I go on meanwhile"}
    task = asyncio.create_task(client.call("say", message, timeout=1))
    task.add_done_callback(replied)
    calls.add(task)  # asyncio keeps no task alive for us


calls: set[asyncio.Task[Any]] = set()


def replied(task: asyncio.Task[Any]) -> None:
    calls.discard(task)
    if task.cancelled():
        return
    if (error := task.exception()) is not None:
        print(f"Callback got an error: {error}")
    else:
        print(f"Callback got a reply: {task.result()}")


async def steps() -> None:
    await asyncio.sleep(options.pace)
    await say_and_wait()
    await asyncio.sleep(options.pace)
    say_and_go_on()
    await asyncio.sleep(options.pace)
    try:
        print(f"joinRoom: {await client.call('joinRoom', {'msg': 'I want to join the test room'})}")
    except (EventError, CallTimeout, NotConnected) as error:
        print(f"joinRoom failed: {error}")


async def main() -> None:
    async with client:  # connects; closes at the end
        script = asyncio.create_task(steps())
        await over.wait()
        script.cancel()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        print("Bye")
    except NotConnected as error:  # there was no connection, or the server refused it: crosswire.Refused
        sys.exit(f"Not connected: {error}")
