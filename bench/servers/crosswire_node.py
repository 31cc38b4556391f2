"""One of several Crosswire servers on one Redis, as a user would write it, nothing tuned.

Run it as `python -m bench.servers.crosswire_node --name A --redis URL`. It prints `PORT n` when it listens and stops
on SIGTERM.
"""

import argparse

import msgspec

from crosswire import Handshake, Server, Socket

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--name", required=True, help="unique among the nodes")
parser.add_argument("--redis", required=True, metavar="URL")
arguments = parser.parse_args()

server = Server(arguments.name, port=0, redis=arguments.redis)


class Line(msgspec.Struct):
    """What one user tells another."""

    to: str
    text: str


@server.authenticate
def who(handshake: Handshake) -> str:
    """Take the user's name from the URL: ?id=7."""
    return handshake.query["id"]


@server.on("hello")
def hello(socket: Socket) -> str:
    """Greet a client, which every node reaches from then on."""
    return "hello"


@server.on("publish")
def publish(socket: Socket, data: dict[str, str]) -> None:
    """Broadcast what one client says."""
    server.everyone.send("news", data)


@server.on("tell")
def tell(socket: Socket, line: Line) -> None:
    """Pass on what one user tells another."""
    server.user(line.to).send("told", {"text": line.text})


@server.on("ask")
async def ask(socket: Socket, numbers: list[int]) -> int:
    """Let another node answer a client's call."""
    answer: int = await server.cluster.call("B", "sum", numbers)
    return answer


@server.cluster.on("sum")
def total(sender: str, numbers: list[int]) -> int:
    """Answer another node."""
    return sum(numbers)


@server.on_listening
def announce() -> None:
    """Tell whoever started us where clients can connect."""
    print(f"PORT {server.port}", flush=True)


if __name__ == "__main__":
    server.run(drain=0)
