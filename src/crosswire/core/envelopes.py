"""The messages between nodes: MessagePack arrays that begin with their kind, and the header in front of them.

Messages are checked when they are decoded, and can't run code. Whoever can publish on the bus can send false messages;
what they say of who is alive is checked by asking back: :mod:`crosswire.cluster.life_checks`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any

import msgspec

from crosswire.core.event_policies import MessagePolicy
from crosswire.core.payload_types import RawPayload
from crosswire.core.targets import Excluded
from crosswire.errors import InvalidMessage, InvalidPayload

_HEADER = struct.Struct("<B8sQQ")
_VERSION = 1
"""The version of headers and envelopes; nodes refuse messages of other versions."""
HEADER_SIZE = _HEADER.size
"""Bytes of a header, at the beginning of a message."""
ORIGIN_SIZE = 8
"""Bytes of an origin, within a header."""
SERVICE = "$"
"""The beginning of the names of requests to services, which nodes send without the application."""


pack_header: Callable[[bytes, int, int], bytes] = partial(_HEADER.pack, _VERSION)
"""Encode a header, which gives the place of a message in the order of its sender's messages; fixed size, little-endian.

First comes the version, then the origin (8 bytes: the incarnation of the sender), the number of the message (the next
one of its origin has a larger number), and the number of the origin's last message on the same channel (0 if unknown).
"""


def unpack_header(message: bytes) -> tuple[bytes, int, int]:
    """Decode the header in front of a message: origin, number and previous number.

    Raises:
        InvalidMessage: there is no header, or one of another version.
    """
    try:
        version, origin, number, previous = _HEADER.unpack_from(message)
    except struct.error as error:
        raise InvalidMessage(f"no header: {error}") from error
    if version != _VERSION:
        raise InvalidMessage(f"a message of version {version}; this is version {_VERSION}")
    if previous >= number:
        raise InvalidMessage(f"message {number} can't follow message {previous}")
    return origin, number, previous


class LogPlace(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The place of a message in the order of its sender's messages for a log, in a room that keeps history.

    Attributes:
        origin: of the sender, 8 bytes.
        number: of the message.
        waits: whether the message comes from the log too, most likely, so that its receiver waits for that.
        exclude_owners: the users whose connections the message's ``exclude_sockets`` are.
    """

    origin: bytes
    number: int
    waits: bool = False
    exclude_owners: tuple[str, ...] = ()


class ClientMessage(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="c"):
    """A message for clients, on the channel of a user, of a room, or of all clients.

    Attributes:
        json: the message as it is sent to clients.
        exclude: users who do not get it.
        msgpack: the message as MessagePack, if a node has clients that want MessagePack.
        exclude_sockets: ids of single connections that do not get it.
        policy: what happens to it for connections that are behind; None to close them in the end.
        place: in the log of a room that keeps history; None elsewhere.
    """

    json: bytes
    exclude: tuple[str, ...] = ()
    msgpack: bytes | None = None
    exclude_sockets: tuple[str, ...] = ()
    policy: MessagePolicy | None = None
    place: LogPlace | None = None


def excluded_of(message: ClientMessage) -> Excluded | None:
    """Return the users and sockets that a message is not for; None if there are none."""
    users, sockets = message.exclude, message.exclude_sockets
    if not (users or sockets):
        return None
    return Excluded(users, sockets, () if message.place is None else message.place.exclude_owners)


class Claim(msgspec.Struct, frozen=True, array_like=True, tag="u"):
    """The claim of a node, on a user's channel, that it has a connection of the user.

    Attributes:
        incarnation: of the node.
        stamp: of the connection, taken when it came.
        alive: whether its peer has just shown a sign of life. Only then it keeps out a newer connection.
    """

    incarnation: str
    stamp: int
    alive: bool = False


class Event(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="e"):
    """An event from an application to others; ``traceparent`` is its place in a trace, if the sender traces."""

    sender: str
    event: str
    payload: msgspec.Raw
    traceparent: str | None = None


class NodeRequest(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="q"):
    """An event that is answered, on the channel of the incarnation that ``asker`` names."""

    sender: str
    asker: str
    call_id: str
    event: str
    payload: msgspec.Raw
    traceparent: str | None = None


class Answer(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="r"):
    """The answer to a request."""

    sender: str
    call_id: str
    payload: msgspec.Raw


class RequestRefusal(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="x"):
    """The refusal of a request."""

    sender: str
    call_id: str
    code: str
    message: str


class HistoryDeclaration(msgspec.Struct, frozen=True, array_like=True):
    """The declaration that the rooms of a namespace keep history.

    Attributes:
        namespace: of the rooms.
        size: number of messages that a room keeps.
        ttl: seconds for which it keeps them.
        own: whether the application of the node says so, rather than other nodes, some of which may be gone.
    """

    namespace: str
    size: int
    ttl: float
    own: bool = True


class Beat(msgspec.Struct, frozen=True, array_like=True, tag="b"):
    """The heartbeat of a node.

    Attributes:
        name: unique among the living.
        incarnation: unique to one run of the node.
        since: when it started, in seconds of real time.
        stamp: of its hybrid clock.
        connections: clients connected to it.
        serves: whether it is a server.
        msgpack: whether it has clients that want MessagePack.
        paths: over which it receives, such as the Redis that it listens on.
        asks: whether nodes that receive it are to answer with a beat of their own, to this incarnation.
        dialect: in which it carries the messages of applications.
        owns: the namespaces whose rooms it may own; None for all.
        history: the namespaces that keep history; None if the node is of a version that knows no history.
        batches: whether it reads a :class:`ClientBatch`; not if the node is of a version that knows none.
        every: seconds after which the node beats again, at the latest.
        texts: whether it reads a :class:`TextBatch`; not if the node is of a version that knows none.
    """

    name: str
    incarnation: str
    since: float
    stamp: int
    connections: int = 0
    serves: bool = False
    msgpack: bool = False
    paths: tuple[str, ...] = ()
    asks: bool = False
    dialect: str = "native"
    owns: tuple[str, ...] | None = None
    history: tuple[HistoryDeclaration, ...] | None = None
    batches: bool = False
    every: float = 0.5
    texts: bool = False


class Goodbye(msgspec.Struct, frozen=True, array_like=True, tag="g"):
    """The message of a node that leaves. Beats of the node with a smaller stamp may arrive later, and mean nothing."""

    name: str
    incarnation: str
    stamp: int


class NameTaken(msgspec.Struct, frozen=True, array_like=True, tag="t"):
    """A message to a node that has no right to its name.

    Attributes:
        name: the name.
        incarnation: the node that must give it up.
        replaced: whether another node has taken over the name; False if the node has just started with a name that is
            in use.
    """

    name: str
    incarnation: str
    replaced: bool = False


class Doubt(msgspec.Struct, frozen=True, array_like=True, tag="d"):
    """A message of a node that hears no answers of a member: each node is to ask the member itself.

    Attributes:
        name: of the member.
        incarnation: of the member.
    """

    name: str
    incarnation: str


class PublishedMessage(msgspec.Struct, frozen=True, array_like=True, tag="p"):
    """A message that an application published on a channel of its own."""

    sender: str
    payload: msgspec.Raw


EventMessage = Event | NodeRequest | Answer | RequestRefusal
"""A message between the applications of two nodes."""


MAX_MESSAGES = 64
"""Messages in one batch."""


class Batch(msgspec.Struct, frozen=True, array_like=True, tag="m"):
    """Several messages of one turn of an event loop, for one node or for all."""

    messages: Annotated[list[EventMessage], msgspec.Meta(max_length=MAX_MESSAGES)]


class ClientBatch(msgspec.Struct, frozen=True, array_like=True, tag="s"):
    """Several messages for clients of one turn of an event loop, in their order, on the channel of all of them."""

    messages: Annotated[list[ClientMessage], msgspec.Meta(max_length=MAX_MESSAGES)]


class TextBatch(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="j"):
    """Several messages for clients, like a :class:`ClientBatch`, of which each is JSON alone.

    Most are: nobody is left out of them, no client wants MessagePack, and none may be dropped.
    """

    texts: Annotated[list[bytes], msgspec.Meta(min_length=1, max_length=MAX_MESSAGES)]


BatchKind = type[Batch] | type[ClientBatch] | type[TextBatch]

Envelope = (
    ClientMessage
    | ClientBatch
    | TextBatch
    | Claim
    | EventMessage
    | Batch
    | Beat
    | Goodbye
    | NameTaken
    | Doubt
    | PublishedMessage
)

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Envelope] = msgspec.msgpack.Decoder(Envelope)
UNENCODABLE = (TypeError, ValueError, RecursionError, OverflowError, AttributeError)
"""Exceptions of :data:`encode`, for data that has no MessagePack form."""


encode: Callable[[Envelope | tuple[object, ...]], bytes] = _encoder.encode
"""Encode an envelope as MessagePack. It is the encoder's own method: each message is encoded by itself.

A tuple of a tag and the fields behind it looks like the struct of that tag then. Requests and answers with data that is
not encoded yet are encoded so: it takes half of the time that a struct takes.
"""


_BATCH_STARTS: dict[BatchKind, bytes] = {Batch: b"\x92\xa1m", ClientBatch: b"\x92\xa1s", TextBatch: b"\x92\xa1j"}
"""The first bytes of a batch: those of an array of two, and its tag. An array with the messages follows."""
_MAX_SHORT_ARRAY = 15
"""Elements of an array in MessagePack whose number is in its first byte."""


def join(kind: BatchKind, bodies: Sequence[bytes]) -> bytes:
    """Join up to :data:`MAX_MESSAGES` encoded messages into one encoded batch, without encoding them again.

    Those of a :class:`TextBatch` are not encoded before: they are its texts.
    """
    if kind is TextBatch:
        return encode(TextBatch(list(bodies)))
    count = len(bodies)
    length = bytes((0x90 | count,)) if count <= _MAX_SHORT_ARRAY else b"\xdc" + count.to_bytes(2, "big")
    return b"%b%b%b" % (_BATCH_STARTS[kind], length, b"".join(bodies))


def count_messages(body: bytes) -> int:
    """Return how many messages one encoded envelope has; 1 if it is no batch."""
    if not body.startswith(tuple(_BATCH_STARTS.values())):
        return 1
    try:
        envelope = decode(body)
    except InvalidMessage:
        return 1  # the body of another protocol that begins alike
    if isinstance(envelope, TextBatch):
        return len(envelope.texts)
    return len(envelope.messages) if isinstance(envelope, Batch | ClientBatch) else 1


UNDECODABLE = (msgspec.MsgspecError, RecursionError, ValueError)
"""Exceptions of :data:`decode_unwrapped`, for bytes that are no envelope."""
decode_unwrapped: Callable[[bytes], Envelope] = _decoder.decode
"""Decode an envelope, as :func:`decode` does, but without a call around it."""


def decode(body: bytes) -> Envelope:
    """Decode an envelope.

    Raises:
        InvalidMessage: the bytes are no envelope.
    """
    try:
        return decode_unwrapped(body)
    except UNDECODABLE as error:
        raise InvalidMessage(str(error)) from error


def pack(data: Any) -> RawPayload:
    """Encode the data of a node's event.

    Raises:
        InvalidPayload: the data has no MessagePack form.
    """
    try:
        return msgspec.Raw(_encoder.encode(data))
    except UNENCODABLE as error:
        raise no_form(error) from error


def no_form(error: Exception) -> InvalidPayload:
    """Return the error for data that can't be encoded."""
    return InvalidPayload(f"the data has no MessagePack form: {error}")
