"""A node of the demo: a process with a chat server, which serves the page too. demo.py starts it."""

from __future__ import annotations

import argparse
import logging
import os
import sys

from chat import Chat
from crosswire import ConfigError
from peers import meet_through

parser = argparse.ArgumentParser(description="One node of Crosswire's demo; demo.py starts them.")
parser.add_argument("--name", required=True, help="unique among the nodes")
parser.add_argument("--host", required=True, help="address to listen on")
parser.add_argument("--port", required=True, type=int, help="port to listen on; 0: any")
parser.add_argument("--redis", required=True, nargs="+", metavar="URL", help="the same for all nodes")
parser.add_argument("--prefix", required=True, help="of all channels, to be apart from other demos on the same Redis")
parser.add_argument("--killable", nargs="*", default=[], metavar="NAME", help="nodes and Redis that the page may kill")


def main() -> int:
    """Run until Ctrl-C; return the exit code."""
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)  # the terminal belongs to the chat
    redis = meet_through(options.redis, options.prefix)
    bot_key = os.environ["DEMO_BOT_KEY"]
    chat = Chat(options.name, options.host, options.port, redis, bot_key, options.killable)
    try:
        chat.server.run()
    except ConfigError as error:  # the port is in use, for example
        print(f"{options.name}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
