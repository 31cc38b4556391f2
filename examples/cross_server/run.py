"""The whole example in one command: some servers and a sender, each a process of its own.

It starts a Valkey too, unless you name one or several; it ends with the sender, or with Ctrl-C::

    python examples/cross_server/run.py
    python examples/cross_server/run.py --redis redis://127.0.0.1:6379 redis://127.0.0.1:6380
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # to import the module that the examples share

from examples.processes import Programs

SERVERS = ("serverB", "serverC", "serverD")

parser = argparse.ArgumentParser(description="Three servers, and a sender that calls them.")
parser.add_argument(
    "--redis", nargs="+", default=["embedded:cross-server"], metavar="URL", help="of a Redis or Valkey, or several"
)
parser.add_argument("--pace", default="1", metavar="SECONDS", help="between two steps of the sender")
options = parser.parse_args()


async def main() -> int:
    redis = ("--redis", *options.redis)
    async with Programs(Path(__file__).parent) as programs:
        for name in SERVERS:
            await programs.start(name, "server.py", "--name", name, *redis)
        steps = ("--servers", str(len(SERVERS)), "--pace", options.pace)
        sender = await programs.start("serverA", "sender.py", "--name", "serverA", *steps, *redis)
        first, code = await programs.first_end()
    if first is not sender:
        print(f"{first.name} ended with code {code}, before the sender was done")
        return 1
    return code


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main()))
    except KeyboardInterrupt:
        print("Bye")
