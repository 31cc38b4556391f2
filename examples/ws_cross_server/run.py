"""The whole example in one command: five servers, fifty clients, and the client that controls them.

It starts a Valkey too, unless you name one or several. It ends with a summary of the recipients of each message, and
with exit code 0 if they are the right ones::

    python examples/ws_cross_server/run.py
    python examples/ws_cross_server/run.py --redis redis://127.0.0.1:6379 redis://127.0.0.1:6380
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # to import the module that the examples share

from examples.processes import Programs

SERVERS = ("serverA", "serverB", "serverC", "serverD", "serverE")

parser = argparse.ArgumentParser(description="Five servers, fifty clients, and one that controls them.")
parser.add_argument(
    "--redis", nargs="+", default=["embedded:ws-cross-server"], metavar="URL", help="of a Redis or Valkey, or several"
)
parser.add_argument("--clients", default="50", metavar="N", help="how many (default: %(default)s)")
parser.add_argument("--pace", default="1", metavar="SECONDS", help="between two commands (default: %(default)s)")
options = parser.parse_args()


async def main() -> int:
    async with Programs(Path(__file__).parent) as programs:
        servers = [
            await programs.start(name, "server.py", "--name", name, "--port", "0", "--redis", *options.redis)
            for name in SERVERS
        ]
        ports = [(await server.says(r"on port (\d+)"))[1] for server in servers]
        number = ("--clients", options.clients)
        clients = await programs.start("clients", "clients.py", "--ports", *ports, *number)
        await clients.says("clients are in their rooms")
        control = await programs.start("control", "control.py", "--port", ports[0], "--pace", options.pace, *number)
        code = await control.ended()
    print("Everybody got what was for them, and nothing else" if code == 0 else "Not as it should be: see above")
    return code


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main()))
    except KeyboardInterrupt:
        print("Bye")
    except RuntimeError as error:  # one of the programs ended
        sys.exit(str(error))
