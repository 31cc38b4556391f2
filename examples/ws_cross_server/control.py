"""The controlling client: it lets a server send to everyone, a user, several users and a room, and checks who got it.

It is connected to one server, the recipients are on all of them. See server.py for how to start it. Its exit code is 0
if each message reached its recipients, once, and nobody else.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import defaultdict

from crosswire import Client, CrosswireError

parser = argparse.ArgumentParser(description="A client that commands server.py, and checks what clients.py receives.")
parser.add_argument("--port", type=int, default=9000, help="of any of the servers (default: %(default)s)")
parser.add_argument("--clients", type=int, default=50, metavar="N", help="that there are (default: %(default)s)")
parser.add_argument("--pace", type=float, default=1, metavar="SECONDS", help="between commands (default: %(default)s)")
options = parser.parse_args()

ARRIVAL_TIMEOUT = 3.0
"""Seconds that messages may take to arrive."""

client = Client(f"ws://127.0.0.1:{options.port}", params={"id": "control"})
expected: dict[str, set[str]] = {}
"""Expected recipients: text -> users."""


async def command(event: str, text: str, audience: set[str], **data: str | list[str]) -> None:
    """Let the server send a text, and note the users who should receive it."""
    expected[text] = audience
    await client.call(event, {"text": text, **data})
    print(f"Said {text!r}")
    await asyncio.sleep(options.pace)


async def commands() -> None:
    everyone = {str(number) for number in range(1, options.clients + 1)}
    await command("broadcast", "Hello everyone", everyone)
    await command("toUser", "Hello 13", {"13"}, user="13")
    some = ["3", "10", "25", "37"]
    await command("toUsers", "Hello you four", set(some), users=some)
    members = set(await client.call("members", {"room": "1000"}))
    await command("toRoom", "Hello room 1000", members, room="1000")
    await command("toRoom", "Psst, not a word to 3", members - {"3"}, room="1000", exclude=["3"])


async def hear() -> dict[str, list[str]]:
    """Ask all clients for the texts they received; return their recipients: text -> users."""
    heard: defaultdict[str, list[str]] = defaultdict(list)
    deadline = time.monotonic() + ARRIVAL_TIMEOUT
    # With several Redis the call may overtake a message on another one, so it is repeated.
    while not as_expected(heard) and time.monotonic() < deadline:
        for user, texts in (await client.call("report")).items():
            for text in texts:
                heard[text].append(user)
    return heard


def as_expected(heard: dict[str, list[str]]) -> bool:
    return all(sorted(heard.get(text, ())) == sorted(users) for text, users in expected.items())


def summarize(heard: dict[str, list[str]]) -> None:
    print("\nWho got what:")
    for text, users in expected.items():
        got = heard.get(text, [])
        print(f"  {len(users & set(got))} of {len(users)} clients got {text!r}")
        if wrong := [user for user in got if user not in users or got.count(user) > 1]:
            print(f"  and these too, or twice: {', '.join(sorted(wrong))}")


async def main() -> int:
    async with client:
        await commands()
        heard = await hear()
    summarize(heard)
    return 0 if as_expected(heard) else 1


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main()))
    except KeyboardInterrupt:
        print("Bye")
    except CrosswireError as error:
        sys.exit(f"{type(error).__name__}: {error}")
