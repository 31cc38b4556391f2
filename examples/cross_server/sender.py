"""A node that sends events to others, calls them, and prints the answers. See server.py for how to start both."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import Any

from crosswire import ConfigError, EventError, Node, NodeGone

parser = argparse.ArgumentParser(description="A node that asks those of server.py.")
parser.add_argument("--name", default="serverA", help="unique among the nodes (default: %(default)s)")
parser.add_argument(
    "--redis", nargs="+", default=["embedded:cross-server"], metavar="URL", help="the same as that of server.py"
)
parser.add_argument("--servers", type=int, default=1, metavar="N", help="to wait for at first (default: %(default)s)")
parser.add_argument("--pace", type=float, default=1, metavar="SECONDS", help="between two steps (default: %(default)s)")
options = parser.parse_args()

node = Node(options.name, redis=options.redis)
somebody_came = asyncio.Event()


# This node has a handler too, so it receives and answers its own events to all.
@node.on("say")
def say(sender: str, data: dict[str, Any]) -> dict[str, str]:
    print(f"{sender} says: {data['text']}")
    return {"text": f"Hi {sender}, I heard myself"}


@node.on_join
def joined() -> None:
    somebody_came.set()


async def servers() -> list[str]:
    """Wait until as many servers are there as the options say; return their names."""
    while len(node.nodes) <= options.servers:  # this node is one of them
        print(f"Waiting for servers: {len(node.nodes) - 1} of {options.servers} are there")
        somebody_came.clear()
        await somebody_came.wait()
    return sorted(node.nodes.keys() - {node.name})


def send_to_all() -> None:
    print("Send to all, without an answer")
    node.send("say", {"text": f"Hello everybody, I am {node.name}"})


def send_to_all_others() -> None:
    print("Send to all but ourselves")
    node.send("say", {"text": "Hello, all of you others"}, include_self=False)


async def stream() -> None:
    print("Ask all, and take each answer as it comes")
    replies = node.stream("say", {"text": "Please answer one by one"})
    async for reply in replies:
        print(f"  {reply.sender} answers: {reply.data['text']}")
    print(f"  Without an answer: {replies.missing or 'nobody'}")


async def gather() -> None:
    print("Ask all, and wait for all answers")  # nobody counts them by hand: it is known who is alive
    replies = await node.gather("say", {"text": "Please answer all together"}, timeout=2)
    for name, answer in sorted(replies.items()):
        print(f"  {name} answers: {answer['text']}")
    print(f"  Complete: {replies.complete}")


async def call(server: str) -> None:
    print(f"Ask {server} alone")
    print(f"  Tea costs {await node.call(server, 'price', {'item': 'tea'})}")


async def be_refused(server: str) -> None:
    print("Ask for what can't be")
    for order in {"item": "dragon"}, {"thing": "tea"}:  # refused by the handler, and before it is called
        try:
            await node.call(server, "price", order)
        except EventError as error:
            print(f"  {error.sender} refuses: {error.code}, {error.message}")


async def miss(server: str) -> None:
    print("Ask one that is not there")
    try:
        await node.call("serverZ", "price", {"item": "tea"})
    except NodeGone as error:  # at once: nobody waits for a node that can't answer
        print(f"  {error}")
    replies = await node.gather("price", {"item": "tea"}, to=[server, "serverZ"])
    print(f"  {dict(replies)}, missing: {', '.join(replies.missing)}")


async def main() -> None:
    async with node:  # joins the cluster; leaves it at the end
        first = (await servers())[0]
        print(f"The nodes are {', '.join(sorted(node.nodes))}")
        send_to_all()
        await asyncio.sleep(options.pace)
        send_to_all_others()
        await asyncio.sleep(options.pace)
        await stream()
        await asyncio.sleep(options.pace)
        await gather()
        await asyncio.sleep(options.pace)
        await call(first)
        await be_refused(first)
        await miss(first)
        print("Done")


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        print("Bye")
    except ConfigError as error:
        sys.exit(str(error))
