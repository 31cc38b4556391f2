"""The messages that an emitter sends and the answers that it reads, in our own dialect and in the original's."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple, Protocol

import msgspec
from msgspec import UNSET

from crosswire.cluster.compat import Compat
from crosswire.cluster.native_messages import NativeClientMessages
from crosswire.cluster.original_codec import OriginalCodec
from crosswire.cluster.original_messages import FromBridge, OriginalEvent, OriginalMessages, check
from crosswire.core import envelopes
from crosswire.core.channel_names import Channels
from crosswire.core.codecs import JSON, NODE_MSGPACK, Codec
from crosswire.core.envelopes import HEADER_SIZE, Answer, Batch, Event, NodeRequest, RequestRefusal, unpack_header
from crosswire.core.formats import EncodedMessage
from crosswire.core.messages import ABSENT
from crosswire.core.original_channels import BRIDGE
from crosswire.core.payload_types import RawPayload
from crosswire.core.signing import SIGNED_HEADER_SIZE, Signer
from crosswire.core.targets import Excluded, Target
from crosswire.emitter.port import EmitterPort
from crosswire.errors import EventError, InvalidMessage

_CALL_ID = "1"
"""The id of the only request of an asker."""


class NodeReply(NamedTuple):
    """The reply of a node to a request.

    Attributes:
        sender: the name of the node.
        payload: of the answer.
        error: the refusal, or None.
    """

    sender: str
    payload: RawPayload
    error: EventError | None


class EmitterDialect(Protocol):
    """The messages of an emitter, and the channels that they are sent on.

    Attributes:
        codec: encodes the payloads of nodes' events.
        knows_members: whether a node that listens on no channel of its own is gone.
        nodes: a channel that all nodes listen on.
    """

    codec: Codec
    knows_members: bool
    nodes: bytes

    def to_clients(self, target: Target, message: EncodedMessage, exclude: Excluded | None) -> None:
        """Publish a message for clients.

        Raises:
            UsageError: the dialect has none for this audience.
        """

    def send_event(self, to: Collection[str] | None, event: str, payload: RawPayload) -> None:
        """Publish an event for nodes; for all of them if ``to`` is None."""

    def send_request(self, name: str, event: str, payload: RawPayload, asker: str) -> None:
        """Publish a request for one node, to be answered to ``asker``, 16 hexadecimal digits."""

    def reply_channel(self, asker: str) -> bytes:
        """Return the channel of the answers to ``asker``."""
        ...

    def read_replies(self, message: bytes, asker: str) -> list[NodeReply]:
        """Read a message on that channel; what is no reply to ``asker`` is ignored."""
        ...


class NativeEmitterDialect(NativeClientMessages[EmitterPort]):
    """The :class:`EmitterDialect` of Crosswire's own nodes.

    Args:
        port: publishes the messages.
        channels: the names of the channels.
        name: of the emitter.
        signer: checks the signatures of answers; None if they are not signed.
    """

    codec: Codec = NODE_MSGPACK
    knows_members = True

    def __init__(self, port: EmitterPort, channels: Channels, name: str, signer: Signer | None = None) -> None:
        super().__init__(port, channels)
        self._signer = signer
        self.nodes = channels.nodes
        self._name = name

    def send_event(self, to: Collection[str] | None, event: str, payload: RawPayload) -> None:
        self._publish(to, Event(self._name, event, payload))

    def send_request(self, name: str, event: str, payload: RawPayload, asker: str) -> None:
        self._publish((name,), NodeRequest(self._name, asker, _CALL_ID, event, payload))

    def reply_channel(self, asker: str) -> bytes:
        return self._channels.incarnation(asker)

    def ask_all(self, event: str, asker: str) -> None:
        """Publish a request without data for all nodes."""
        self._publish(None, NodeRequest(self._name, asker, _CALL_ID, event, envelopes.pack(None)))

    def read_replies(self, message: bytes, asker: str) -> list[NodeReply]:
        try:
            if self._signer is None:
                unpack_header(message)
                decoded = envelopes.decode(message[HEADER_SIZE:])
            else:
                self._signer.read(self.reply_channel(asker), message)
                decoded = envelopes.decode(message[SIGNED_HEADER_SIZE:])
        except InvalidMessage:
            return []
        return [
            reply
            for each in (decoded.messages if isinstance(decoded, Batch) else (decoded,))
            if (reply := _native_reply(each)) is not None
        ]

    def _publish(self, to: Collection[str] | None, message: Event | NodeRequest) -> None:
        body = envelopes.encode(message)
        for channel in (self._channels.nodes,) if to is None else map(self._channels.node, dict.fromkeys(to)):
            self._port.publish(channel, body)


class OriginalEmitterDialect(OriginalMessages[EmitterPort]):
    """The :class:`EmitterDialect` of the original's servers.

    Args:
        port: publishes the messages.
        options: of the original's servers.
        name: of the emitter.
    """

    knows_members = False
    nodes = BRIDGE

    def __init__(self, port: EmitterPort, options: Compat, name: str) -> None:
        codec = NODE_MSGPACK if options.compress else JSON
        decoders = msgspec.msgpack if codec.binary else msgspec.json
        super().__init__(port, OriginalCodec(codec), name)
        self._decoder: Any = decoders.Decoder(FromBridge)

    def to_clients(self, target: Target, message: EncodedMessage, exclude: Excluded | None) -> None:
        check(target, exclude)
        super().to_clients(target, message, exclude)

    def send_event(self, to: Collection[str] | None, event: str, payload: RawPayload) -> None:
        if to is None or to:  # a message that names no server is for all
            self.publish_event(OriginalEvent(event, self._name, payload, list(dict.fromkeys(to or ()))))

    def send_request(self, name: str, event: str, payload: RawPayload, asker: str) -> None:
        self.publish_event(OriginalEvent(event, self._name, payload, [name], f"{asker}-{_CALL_ID}"))

    def reply_channel(self, asker: str) -> bytes:
        return BRIDGE

    def read_replies(self, message: bytes, asker: str) -> list[NodeReply]:
        try:
            event: OriginalEvent = self._decoder.decode(message).data
        except (msgspec.MsgspecError, RecursionError, ValueError):
            return []
        if not event.is_callback or event.callback_id != f"{asker}-{_CALL_ID}":
            return []
        error = None
        if event.error is not UNSET:
            error = EventError(event.error.code, event.error.message, sender=event.sender_server)
        return [NodeReply(event.sender_server, event.payload, error)]


def pack(codec: Codec, data: Any) -> RawPayload:
    """Encode the data of an event for nodes.

    Raises:
        InvalidPayload: it has no form that can be sent.
    """
    return msgspec.Raw(codec.encode(data))


def _native_reply(message: object) -> NodeReply | None:
    if isinstance(message, Answer):
        return NodeReply(message.sender, message.payload, None)
    if isinstance(message, RequestRefusal):
        error = EventError(message.code, message.message, sender=message.sender)
        return NodeReply(message.sender, ABSENT, error)
    return None
