"""A server that other servers call: no WebSockets, only nodes of one cluster.

Start some of them, each with its own name, and then sender.py; or all at once with run.py::

    python examples/cross_server/server.py --name serverB
    python examples/cross_server/server.py --name serverC
    python examples/cross_server/sender.py --name serverA --servers 2
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from typing import Any

import msgspec

from crosswire import ConfigError, EventError, LinkStatus, Node, NodeInfo, SubscriptionFailure

parser = argparse.ArgumentParser(description="A node that answers sender.py.")
parser.add_argument("--name", default="serverB", help="unique among the nodes (default: %(default)s)")
parser.add_argument(
    "--redis",
    nargs="+",
    default=["embedded:cross-server"],
    metavar="URL",
    help="of a Redis or Valkey, or of several; the same for all nodes (default: one that is started on this machine)",
)
options = parser.parse_args()

node = Node(options.name, redis=options.redis)


# An event of another node. The return value answers a node that called; one that only sent the event gets no answer.
@node.on("say")
async def say(sender: str, data: dict[str, Any]) -> dict[str, str]:
    print(f"{sender} says: {data['text']}")
    await asyncio.sleep(random.uniform(0.05, 0.3))  # work that takes one node longer than another
    return {"text": f"Hi {sender}, this is {node.name}"}


class Order(msgspec.Struct):
    """Payload of `price`: anything else is refused before the handler is called."""

    item: str


PRICES = {"tea": 3.2, "coffee": 4.5}


@node.on("price")
def price(sender: str, order: Order) -> float:
    print(f"{sender} asks what {order.item} costs")
    if order.item not in PRICES:
        # The calling node gets the code and the text. Of any other exception it would only get HANDLER_ERROR.
        raise EventError("UNKNOWN_ITEM", f"we don't sell {order.item}")
    return PRICES[order.item]


# Members of the cluster. A killed node is noticed too, within some seconds.


@node.on_join
def joined(info: NodeInfo) -> None:
    print(f"{info.name} is there")


@node.on_leave
def left(info: NodeInfo, reason: str) -> None:
    print(f"{info.name} is gone: {reason}")


# Health of the Redis. When one fails, messages take another one at once.


@node.on_bus_health
def redis_health(status: LinkStatus) -> None:
    print(f"{status.url} works" if status.healthy else f"{status.url} does not work: {status.last_error}")


@node.on_subscription_error
def subscription_error(failure: SubscriptionFailure) -> None:
    print(f"{failure.url} refused the channel {failure.channel}: {failure.error}")


if __name__ == "__main__":
    print(f"This is {node.name}; Ctrl-C ends it")
    try:
        node.run()  # until Ctrl-C
    except ConfigError as error:  # a living node has the name, or there is no Redis to embed
        sys.exit(str(error))
