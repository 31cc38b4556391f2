"""The dialect of the original's servers (``websocket-cross-server-adapter``), to work in one cluster with them.

Broadcasts are published on ``ws:broadcast``, messages for users on ``ws:private_socket`` and for rooms on
``ws:<namespace>``; every server finds out which messages concern its own clients. Events between servers and their
answers are published on ``csbp:server_bridge``, for all servers. A message is a MessagePack or JSON map. The data for
clients in it is always the JSON text that is sent to them.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import partial
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from crosswire.cluster.compat import Compat
from crosswire.cluster.dialect import ClientInbox, EventInbox, ReceivePublished, ReplyInbox
from crosswire.cluster.ordered_port import OrderedPort
from crosswire.cluster.original_codec import OriginalCodec
from crosswire.cluster.original_messages import (
    ANSWER_EVENT,
    FromBridge,
    OriginalError,
    OriginalEvent,
    OriginalMessages,
    check,
)
from crosswire.core.codecs import JSON, NODE_MSGPACK
from crosswire.core.formats import require_event_text
from crosswire.core.original_channels import (
    BRIDGE,
    BROADCAST,
    PRIVATE,
    custom_channel,
    is_channel_of_rooms,
    rooms_channel,
)
from crosswire.core.payload_types import RawPayload
from crosswire.core.targets import Everyone, Excluded, Target, ToRoom, ToUsers
from crosswire.errors import EventError, InvalidPayload
from crosswire.runtime.log_records import get_logger
from crosswire.runtime.throttled_warnings import ThrottledWarnings, reason, shown

logger = get_logger("crosswire.cluster")

_OWN_CALL_ID = re.compile("[0-9a-f]{16}-[0-9a-f]+")
"""Matches the ids of our nodes' requests; ids of original servers have three hyphens."""


class _FromServer(msgspec.Struct, rename="camel"):
    """Any message for clients, as it is received."""

    data: str
    sender_server: str = ""
    socket_id: str | None = None
    socket_ids: list[str] | None = None
    room_namespace: str | None = None
    room_id: str | None = None
    exclude_socket_ids: list[str] | None = None


class OriginalDialect(OriginalMessages[OrderedPort]):
    """The :class:`~crosswire.cluster.dialect.Dialect` of the original's servers, spoken by one of our nodes.

    Args:
        port: the node's end of the bus.
        options: of the original's servers; the same on all nodes.
        name: of the node.

    Attributes:
        check: checks that the original has a message for an audience.
        unreadable: number of messages that were received and could not be read.
    """

    knows_members = False
    echoes = True
    own_channels = (BRIDGE,)
    client_channels = (BROADCAST, PRIVATE)

    def __init__(self, port: OrderedPort, options: Compat, name: str) -> None:
        codec = NODE_MSGPACK if options.compress else JSON
        super().__init__(port, OriginalCodec(codec), name)
        self.check = check
        self._presets = frozenset(options.preset_namespaces)
        self._rooms: dict[str, int] = {}
        self._clients: ClientInbox | None = None
        decoders = msgspec.msgpack if codec.binary else msgspec.json
        self._from_server = decoders.Decoder(_FromServer)
        self._from_bridge = decoders.Decoder(FromBridge)
        self.label = "compat-msgpack" if codec.binary else "compat-json"
        self._warnings = ThrottledWarnings(logger)
        self.unreadable = 0

    # Sending

    def pack(self, data: Any) -> RawPayload:
        return msgspec.Raw(self.codec.encode(data))

    def send_event(self, to: Collection[str] | None, event: str, payload: RawPayload) -> None:
        self.publish_event(OriginalEvent(event, self._name, payload, list(to or ())))

    def send_request(self, to: Collection[str] | None, event: str, payload: RawPayload, call_id: str) -> None:
        self.publish_event(OriginalEvent(event, self._name, payload, list(to or ()), call_id))

    def send_call(self, name: str, event: str, data: Any, call_id: str) -> None:
        self.send_request((name,), event, self.pack(data), call_id)

    def send_own_answer(self, call_id: str, payload: RawPayload) -> None:
        self.answer(call_id, payload)

    def answer(self, call_id: str, payload: RawPayload, error: OriginalError | UnsetType = UNSET) -> None:
        """Publish an answer to a request."""
        self.publish_event(OriginalEvent(ANSWER_EVENT, self._name, payload, [], call_id, True, error))

    # Receiving

    def listen_to_nodes(self, events: EventInbox, replies: ReplyInbox) -> None:
        """Subscribe to the events, requests and answers of other servers."""
        self._port.subscribe(BRIDGE, partial(self._bridge, events, replies), plain=True)

    def listen_for_clients(self, clients: ClientInbox) -> None:
        self._clients = clients
        for channel in self.client_channels:
            self._port.subscribe(channel, partial(self._message, channel), plain=True)
        for namespace in self._presets:
            self.subscribe_room(namespace, "")

    def subscribe_room(self, namespace: str, id: str) -> None:
        channel = self.room_channel(namespace, id)
        if namespace not in self._rooms:
            self._port.subscribe(channel, partial(self._message, channel), plain=True)
        self._rooms[namespace] = self._rooms.get(namespace, 0) + 1

    def unsubscribe_room(self, namespace: str, id: str) -> None:
        self._rooms[namespace] -= 1
        if not self._rooms[namespace]:
            del self._rooms[namespace]
            self._port.unsubscribe(self.room_channel(namespace, id))

    def room_channel(self, namespace: str, id: str) -> bytes:
        return rooms_channel(namespace)

    def subscribe(self, channel: str, receive: ReceivePublished) -> bytes:
        name = custom_channel(channel)
        self._port.subscribe(name, lambda body: receive("", self.codec, msgspec.Raw(body)), plain=True)
        return name

    def unsubscribe(self, channel: str) -> None:
        self._port.unsubscribe(custom_channel(channel))

    def publish(self, channel: str, payload: RawPayload) -> None:
        self._port.publish(custom_channel(channel), bytes(payload), plain=True)

    def _message(self, channel: bytes, body: bytes) -> None:
        try:
            message = self._from_server.decode(body)
        except (msgspec.MsgspecError, RecursionError, ValueError) as error:
            self._note_unreadable(error)
            return
        if message.sender_server == self._name or self._clients is None:
            return
        target = _target(channel, message)
        if target is None:
            self._note_unreadable(f"a message on {channel!r} that is for nobody there")
        else:
            try:
                users = tuple(message.exclude_socket_ids or ())
                self._clients.deliver(
                    target, require_event_text(message.data.encode()), Excluded(users) if users else None
                )
            except InvalidPayload as error:
                self._note_unreadable(error)

    def _bridge(self, events: EventInbox, replies: ReplyInbox, body: bytes) -> None:
        try:
            message = self._from_bridge.decode(body).data
        except (msgspec.MsgspecError, RecursionError, ValueError) as error:
            self._note_unreadable(error)
            return
        sender, call_id = message.sender_server, message.callback_id
        if sender == self._name:
            return
        if message.is_callback:
            if call_id is UNSET:
                self._note_unreadable("an answer to nothing")
            elif message.error is not UNSET:
                refusal = EventError(message.error.code, message.error.message, sender=sender)
                replies.refused(sender, call_id, refusal)
            else:
                replies.answered(sender, call_id, self.codec, message.payload)
        elif message.target_server and self._name not in message.target_server:
            return
        elif call_id is UNSET:
            events.event(sender, message.event, self.codec, message.payload)
        else:
            # An original server without a handler sends no answer: the server that asked would take any message as one.
            awaits_node = bool(message.target_server) and _OWN_CALL_ID.fullmatch(call_id) is not None
            asker = _OriginalAsker(self, call_id, awaits_node=awaits_node)
            events.request(asker, sender, message.event, self.codec, message.payload)

    def _note_unreadable(self, why: object) -> None:
        self.unreadable += 1
        text = reason(why) if isinstance(why, BaseException) else shown(str(why))
        self._warnings.warn("unreadable", "a message that came over the bus could not be read, and is lost: %r", text)


class _OriginalAsker:
    """Sends the answer to the request of an original server, or of a Crosswire node that speaks the original's dialect.

    The original has no refusals: it gets an answer of null. Crosswire nodes find the error in a field of their own.
    """

    __slots__ = ("_call_id", "_dialect", "awaits_node")

    def __init__(self, dialect: OriginalDialect, call_id: str, *, awaits_node: bool) -> None:
        self._dialect = dialect
        self._call_id = call_id
        self.awaits_node = awaits_node

    def answer(self, value: Any) -> None:
        self._dialect.answer(self._call_id, self._dialect.pack(value))

    def refuse(self, error: EventError) -> None:
        refusal = OriginalError(str(error.code), str(error.message))
        self._dialect.answer(self._call_id, self._dialect.pack(None), refusal)


def _target(channel: bytes, message: _FromServer) -> Target | None:
    """Return the audience of a message that came on a channel; None if the message names none, or a wrong one."""
    if channel == BROADCAST:
        return Everyone()
    if channel == PRIVATE:
        if message.socket_ids is not None:
            return ToUsers(tuple(message.socket_ids))
        return None if message.socket_id is None else ToUsers((message.socket_id,), one=True)
    namespace, id_ = message.room_namespace, message.room_id
    if not namespace or not id_ or not is_channel_of_rooms(channel, namespace):
        return None
    return ToRoom(namespace, id_)
