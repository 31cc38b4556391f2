"""The least that does the work in Python: picows and hiredis on uvloop, plain functions, and one write a turn.

It is a yardstick, and no server: it checks nothing, limits nothing, numbers and acknowledges nothing, and knows no
rooms. What Crosswire takes beside it is what those cost. It prints `PORT n` when it listens and stops on SIGTERM.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import hiredis
import msgspec
import uvloop
from msgspec.json import Decoder, encode
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from bench.peers.adapters import options

arguments = options.parse(__doc__)
BACKLOG = 2048
"""Connections that wait to be accepted, as with the other servers."""
MEDIUM, LONG = 126, 1 << 16
"""Payload sizes from which the header of a frame has two bytes more, and eight (RFC 6455, section 5.2)."""
REPLY = encode({"msg": "I am a reply to your say event"})
EVERYONE, NODE, USER = b"everyone", b"node:", b"user:"
"""The channel of all nodes, and what those of a node and of a user begin with."""


class Message(msgspec.Struct, gc=False):
    """What a client sends."""

    event: str
    payload: msgspec.Raw
    call: str = msgspec.field(default="", name="callbackId")


class Line(msgspec.Struct, gc=False):
    """Message from one user to another."""

    to: str
    text: str


class Redis(asyncio.Protocol):
    """Connection to Redis; the commands of a turn leave in one write."""

    def __init__(self, take: Callable[[Any], None]) -> None:
        """Call `take` with each reply."""
        self._reader = hiredis.Reader()
        self._take = take
        self._commands: list[bytes] = []
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, to write to it."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take the replies that have come."""
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            self._take(reply)

    def send(self, *words: bytes) -> None:
        """Send a command at the end of the turn."""
        if not self._commands:
            asyncio.get_running_loop().call_soon(self._flush)
        self._commands.append(
            b"*%d\r\n%b" % (len(words), b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words]))
        )

    def _flush(self) -> None:
        self._transport.write(b"".join(self._commands))
        self._commands.clear()


class Client(WSListener):
    """Connection of a client; what is sent to it in a turn leaves in one write."""

    def __init__(self, name: bytes) -> None:
        """Begin for the user of this name."""
        self.name = name
        self.frames: list[bytes] = []
        self.write: Any = None
        self.greeting = b""

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Let every node reach the user."""
        self.write = transport.underlying_transport.write
        clients[self.name] = self
        if arguments.redis:
            subscriber.send(b"SUBSCRIBE", USER + self.name)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Do what a message of the client asks for."""
        if frame.msg_type is WSMsgType.TEXT:
            message = decode_message(frame.get_payload_as_memoryview())
            HANDLERS[message.event](self, message)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Forget the client."""
        clients.pop(self.name, None)

    def push(self, frame: bytes) -> None:
        """Send a frame at the end of the turn."""
        if not self.frames:
            if not written_to:
                asyncio.get_running_loop().call_soon(flush_clients)
            written_to.append(self)
        self.frames.append(frame)


clients: dict[bytes, Client] = {}
"""Clients of this node, by their users' names."""
written_to: list[Client] = []
"""Clients that have something to be sent at the end of the turn."""
asked: dict[int, tuple[Client, str]] = {}
"""Calls that another node has yet to answer, by their numbers: who asked, and the client's id of the call."""
for_nodes: dict[bytes, list[bytes]] = {}
"""Requests and answers of the turn, by the channel of the node they are for."""
numbers = iter(range(1, 1 << 62))
decode_message, decode_line = Decoder(Message).decode, Decoder(Line).decode
decode_calls, decode_numbers = Decoder(list[tuple[int, msgspec.Raw]]).decode, Decoder(list[int]).decode


def frame_of(text: bytes) -> bytes:
    """Return a text message's frame."""
    size = len(text)
    if size < MEDIUM:
        return b"\x81%c%b" % (size, text)
    if size < LONG:
        return b"\x81\x7e%b%b" % (size.to_bytes(2, "big"), text)
    return b"\x81\x7f%b%b" % (size.to_bytes(8, "big"), text)


def answer_frame(call: str, data: bytes | msgspec.Raw) -> bytes:
    """Return the frame that answers a client's call."""
    return frame_of(b'{"payload":%b,"callbackId":"%b"}' % (data, call.encode()))


def flush_clients() -> None:
    """Write what was sent in this turn."""
    for client in written_to:
        client.write(b"".join(client.frames))
        client.frames.clear()
    written_to.clear()


def send_to_node(channel: bytes, entry: bytes) -> None:
    """Send a request or an answer to a node; those of a turn share a PUBLISH."""
    if not for_nodes:
        asyncio.get_running_loop().call_soon(flush_nodes)
    for_nodes.setdefault(channel, []).append(entry)


def flush_nodes() -> None:
    """Publish the requests and answers of this turn."""
    for channel, entries in for_nodes.items():
        publisher.send(b"PUBLISH", channel, b"[%b]" % b",".join(entries))
    for_nodes.clear()


def publish(client: Client, message: Message) -> None:
    """Send a client's message to everyone, on every node."""
    text = b'{"event":"news","payload":%b}' % message.payload
    if arguments.redis:
        publisher.send(b"PUBLISH", EVERYONE, text)
    else:
        send_to_all(text)


def send_to_all(text: bytes) -> None:
    """Send a message to all clients of this node."""
    frame = frame_of(text)
    for client in clients.values():
        client.push(frame)


def say(client: Client, message: Message) -> None:
    """Answer a call."""
    client.push(answer_frame(message.call, REPLY))


def hello(client: Client, message: Message) -> None:
    """Greet a client, once every node reaches it."""
    frame = answer_frame(message.call, b'{"ok":true}')
    if not arguments.redis or USER + client.name in subscribed:
        client.push(frame)
    else:
        client.greeting = frame


def tell(client: Client, message: Message) -> None:
    """Pass on a message from one user to another."""
    line = decode_line(message.payload)
    publisher.send(b"PUBLISH", USER + line.to.encode(), b'{"event":"told","payload":%b}' % encode({"text": line.text}))


def ask(client: Client, message: Message) -> None:
    """Ask node B for the answer to a client's call."""
    number = next(numbers)
    asked[number] = client, message.call
    send_to_node(NODE + b"B", b"[%d,%b]" % (number, message.payload))


HANDLERS: dict[str, Callable[[Client, Message], None]] = {
    each.__name__: each for each in (publish, say, hello, tell, ask)
}


def answer_calls(calls: bytes) -> None:
    """Answer the calls of node A."""
    for number, data in decode_calls(calls):
        send_to_node(NODE + b"A", b"[%d,%d]" % (number, sum(decode_numbers(data))))


def take_answers(answers: bytes) -> None:
    """Hand the answers of node B to the clients."""
    for number, data in decode_calls(answers):
        client, call = asked.pop(number)
        client.push(answer_frame(call, data))


subscribed: set[bytes] = set()
"""Channels that Redis has said this node listens to."""
listening = asyncio.Event()
"""Set when the channels of the node are among them."""


def take_subscribed(channel: bytes) -> None:
    """Greet the user whose channel this node listens to now, and say when it listens to its own."""
    subscribed.add(channel)
    if channel.startswith(NODE):
        listening.set()
    elif (client := clients.get(channel[len(USER) :])) and client.greeting:
        client.push(client.greeting)


def take_published(reply: list[Any]) -> None:
    """Do what a message from Redis is for."""
    kind, channel, text = reply
    if kind == b"subscribe":
        take_subscribed(channel)
    elif channel == EVERYONE:
        send_to_all(text)
    elif channel == NODE + b"B":
        answer_calls(text)
    elif channel == NODE + b"A":
        take_answers(text)
    elif client := clients.get(channel[len(USER) :]):
        client.push(frame_of(text))


publisher, subscriber = Redis(lambda reply: None), Redis(take_published)


def let_in(request: WSUpgradeRequest) -> Client:
    """Take the user's name from the URL: ?id=7."""
    return Client(parse_qs(urlsplit(request.path).query)[b"id"][0])


async def connect(connection: Redis) -> None:
    """Connect to Redis."""
    address = urlsplit(arguments.redis[0])
    await asyncio.get_running_loop().create_connection(lambda: connection, address.hostname, address.port)


async def main() -> None:
    """Run until SIGTERM."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    if arguments.redis:
        await connect(publisher)
        await connect(subscriber)
        subscriber.send(b"SUBSCRIBE", EVERYONE, NODE + arguments.name.encode())
        await listening.wait()
    server = await ws_create_server(let_in, "127.0.0.1", 0, backlog=BACKLOG)
    print(f"PORT {server.sockets[0].getsockname()[1]}", flush=True)
    await stopped.wait()


if __name__ == "__main__":
    uvloop.run(main())
