"""Our own dialect: envelopes on channels that only those concerned listen to."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection
from functools import partial
from typing import Any, NamedTuple

from crosswire.cluster.batches import Batches
from crosswire.cluster.dialect import ClientInbox, EventInbox, MemberInbox, ReceivePublished, ReplyInbox
from crosswire.cluster.ordered_port import OrderedPort
from crosswire.core import envelopes
from crosswire.core.audience import Everyone, Excluded, Target, ToRoom, ToUsers
from crosswire.core.channel_names import Channels
from crosswire.core.envelopes import (
    Answer,
    Batch,
    Beat,
    Claim,
    Envelope,
    Event,
    ForClients,
    Goodbye,
    NameTaken,
    NodeRequest,
    Published,
    RequestRefusal,
    Statement,
)
from crosswire.core.formats import Payloads, require_text
from crosswire.core.messages import NODE_MSGPACK, Codec
from crosswire.core.payloads import RawPayload
from crosswire.core.utf8 import has_utf8
from crosswire.errors import EventError, InvalidMessage, InvalidPayload
from crosswire.runtime.throttled_warnings import ThrottledWarnings, reason, shown

_INCARNATION = re.compile("[0-9a-f]{16}")
_MOST_BYTES = 4
"""Of a character in the name of a channel."""
_LATEST = 2**62
"""No stamp of this or the next thousand years is as large."""

logger = logging.getLogger("crosswire.cluster")


class NodeChannels(NamedTuple):
    """The channels that every node listens on: that of all nodes, that of its run, and that of its name."""

    all_nodes: bytes
    incarnation: bytes
    name: bytes


class NativeDialect:
    """Speaks for one node.

    Args:
        port: the node's end of the bus.
        channels: their names.
        name: of the node.
        incarnation: of the node.

    Attributes:
        refused: messages that came and were not what they should be.
    """

    label = "native"
    codec: Codec = NODE_MSGPACK
    knows_members = True
    echoes = False

    def __init__(
        self, port: OrderedPort, channels: Channels, name: str, incarnation: str, kept: Collection[str] = ()
    ) -> None:
        self._port = port
        self._channels = channels
        self._name = name
        self._incarnation = incarnation
        self._clients: ClientInbox | None = None
        self._batches = Batches(port)
        self._warnings = ThrottledWarnings(logger)
        self.refused = 0

    # Saying

    def to_clients(self, target: Target, payloads: Payloads, exclude: Excluded | None) -> None:
        """Publish a message for clients; see :class:`~crosswire.cluster.dialect.Dialect`."""
        users, sockets = ((), ()) if exclude is None else (exclude.users, exclude.sockets)
        if isinstance(target, ToUsers):
            body = envelopes.encode(ForClients(payloads.json, (), payloads.msgpack, sockets))
            named: Collection[str] = target.users
            if len(named) > 1:
                named = dict.fromkeys(named)  # each once
                self._port.require_room([len(user) * _MOST_BYTES + len(body) for user in named])
            for user in named:
                if user not in users:
                    self._port.publish(self._channels.user(user), body)
            return
        body = envelopes.encode(ForClients(payloads.json, users, payloads.msgpack, sockets))
        if isinstance(target, ToRoom):
            self._port.publish(self._channels.room(target.namespace, target.id), body)
        else:
            self._port.publish(self._channels.everyone, body)

    def pack(self, data: Any) -> RawPayload:
        """Encode data as MessagePack."""
        return envelopes.pack(data)

    def send_event(self, to: Collection[str] | None, event: str, payload: RawPayload) -> None:
        """Publish an event."""
        said, channels = Event(self._name, event, payload), self._channels_of(to)
        if len(channels) > 1:
            size = len(envelopes.encode(said))
            self._port.require_room([len(channel) + size for channel in channels])
        for channel in channels:
            self._batches.publish(channel, said)

    def send_request(self, to: Collection[str] | None, event: str, payload: RawPayload, call_id: str) -> None:
        """Publish a request."""
        request = NodeRequest(self._name, self._incarnation, call_id, event, payload)
        for channel in self._channels_of(to):
            self._batches.add(channel, request)

    def reply(self, request: NodeRequest, payload: RawPayload) -> None:
        """Answer a request."""
        self._batches.add(self._channels.incarnation(request.asker), Answer(self._name, request.call_id, payload))

    def refuse(self, request: NodeRequest, error: EventError) -> None:
        """Refuse a request; raises InvalidPayload for a text that can't be sent."""
        refusal = RequestRefusal(self._name, request.call_id, str(error.code), str(error.message))
        if not (has_utf8(refusal.code) and has_utf8(refusal.message)):  # later it would spoil what it is joined with
            raise InvalidPayload(f"the refusal {refusal.code!r} has no UTF-8 form")
        self._batches.add(self._channels.incarnation(request.asker), refusal)

    def flush(self) -> None:
        """Publish what waits for the end of the turn."""
        self._batches.flush()

    def send_own_answer(self, call_id: str, payload: RawPayload) -> None:
        """Do nothing: others don't hear it."""

    def claim(self, user: str, stamp: int, *, alive: bool) -> None:
        """Tell other nodes that this one has a connection of a user, and whether its peer has just been heard."""
        self._port.announce(self._channels.user(user), envelopes.encode(Claim(self._incarnation, stamp, alive)))

    @property
    def dropped(self) -> int:
        """Requests and answers that found no room while no Redis could be reached."""
        return self._batches.dropped

    def announce(self, message: Beat | Goodbye) -> None:
        """Tell all nodes something about this one."""
        self._port.announce(self._channels.nodes, envelopes.encode(message))

    def tell_incarnation(self, incarnation: str, message: Beat | NameTaken) -> None:
        """Tell one run of a node something about this one."""
        self._port.announce(self._channels.incarnation(incarnation), envelopes.encode(message))

    def tell_name(self, name: str, message: Beat) -> None:
        """Tell whoever has a name something about this node."""
        self._port.announce(self._channels.node(name), envelopes.encode(message))

    def _channels_of(self, to: Collection[str] | None) -> Collection[bytes]:
        return (self._channels.nodes,) if to is None else [self._channels.node(name) for name in to]

    # Listening

    def attend(self, events: EventInbox, replies: ReplyInbox, members: MemberInbox) -> None:
        """Listen to other nodes, and to what they say of themselves."""
        receive = partial(self._from_node, events, replies, members)
        for channel in self.own_channels:
            self._port.subscribe(channel, receive)

    @property
    def own_channels(self) -> NodeChannels:
        """The channels that this node listens on, with or without clients."""
        channels = self._channels
        return NodeChannels(channels.nodes, channels.incarnation(self._incarnation), channels.node(self._name))

    @property
    def client_channels(self) -> tuple[bytes]:
        """Those of every server beside these: all clients'."""
        return (self._channels.everyone,)

    def serve(self, clients: ClientInbox) -> None:
        """Listen for clients."""
        self._clients = clients
        self._port.subscribe(self._channels.everyone, partial(self._for_clients, Everyone()))

    def subscribe_user(self, user: str) -> None:
        """Listen on a user's channel."""
        self._port.subscribe(self._channels.user(user), partial(self._for_clients, ToUsers((user,))))

    def unsubscribe_user(self, user: str) -> None:
        """Leave a user's channel."""
        self._port.unsubscribe(self._channels.user(user))

    def user_channel(self, user: str) -> bytes:
        """A user's channel."""
        return self._channels.user(user)

    def subscribe_room(self, namespace: str, id: str) -> None:
        """Listen on a room's channel."""
        self._port.subscribe(self._channels.room(namespace, id), partial(self._for_clients, ToRoom(namespace, id)))

    def unsubscribe_room(self, namespace: str, id: str) -> None:
        """Leave a room's channel."""
        self._port.unsubscribe(self._channels.room(namespace, id))

    def room_channel(self, namespace: str, id: str) -> bytes:
        """A room's channel."""
        return self._channels.room(namespace, id)

    def subscribe(self, channel: str, receive: ReceivePublished) -> bytes:
        """Listen on an application's own channel."""
        name = self._channels.custom(channel)
        self._port.subscribe(name, partial(self._published, receive))
        return name

    def unsubscribe(self, channel: str) -> None:
        """Leave it."""
        self._port.unsubscribe(self._channels.custom(channel))

    def publish(self, channel: str, payload: RawPayload) -> None:
        """Publish on it."""
        self._port.publish(self._channels.custom(channel), envelopes.encode(Published(self._name, payload)))

    def _decode(self, body: bytes) -> Envelope | None:
        try:
            return envelopes.decode(body)
        except InvalidMessage as error:
            self.refuse_message(error)
            return None

    def refuse_message(self, why: object) -> None:
        """Count a message that is not what it should be."""
        self.refused += 1
        said = reason(why) if isinstance(why, BaseException) else shown(str(why))
        self._warnings.warn("refused", "a message that came over the bus was refused, and is lost: %r", said)

    def _for_clients(self, target: Target, body: bytes) -> None:
        message = self._decode(body)
        if self._clients is None:
            return
        if type(message) is ForClients:
            try:
                payloads = Payloads(require_text(message.json), message.msgpack)
                self._clients.deliver(target, payloads, _excluded(message))
            except InvalidPayload as error:
                self.refuse_message(error)
        elif isinstance(message, Claim) and isinstance(target, ToUsers):
            self._clients.claimed(target.users[0], message)
        elif message is not None:
            self.refuse_message(f"{type(message).__name__} is not for clients")

    def _published(self, receive: ReceivePublished, body: bytes) -> None:
        message = self._decode(body)
        if isinstance(message, Published):
            receive(message.sender, NODE_MSGPACK, message.payload)
        elif message is not None:
            self.refuse_message(f"{type(message).__name__} was not published by an application")

    def _from_node(self, events: EventInbox, replies: ReplyInbox, members: MemberInbox, body: bytes) -> None:
        message = self._decode(body)
        if type(message) is Batch:
            for statement in message.statements:
                self._hear(events, replies, statement)
        elif isinstance(message, Statement):
            self._hear(events, replies, message)
        elif isinstance(message, Beat | Goodbye) and not _is_sound(message):
            self.refuse_message(f"no node says {message}")
        elif isinstance(message, Beat):
            members.beat(message)
        elif isinstance(message, Goodbye):
            members.goodbye(message)
        elif isinstance(message, NameTaken):
            members.name_taken(message)
        elif message is not None:
            self.refuse_message(f"{type(message).__name__} is not for nodes")

    def _hear(self, events: EventInbox, replies: ReplyInbox, said: Statement) -> None:
        if isinstance(said, Answer):
            replies.answered(said.sender, said.call_id, NODE_MSGPACK, said.payload)
        elif isinstance(said, NodeRequest):
            events.request(_NativeAsker(self, said), said.sender, said.event, NODE_MSGPACK, said.payload)
        elif isinstance(said, Event):
            events.event(said.sender, said.event, NODE_MSGPACK, said.payload)
        else:
            replies.refused(said.sender, said.call_id, EventError(said.code, said.message, sender=said.sender))


def _excluded(message: ForClients) -> Excluded | None:
    users, sockets = message.exclude, message.exclude_sockets
    return Excluded(users, sockets) if users or sockets else None


def _is_sound(message: Beat | Goodbye) -> bool:
    """Whether it can be a node's at all."""
    return _INCARNATION.fullmatch(message.incarnation) is not None and 0 <= message.stamp < _LATEST


class _NativeAsker:
    """Who asked this node something; it knows its members, and waits for each."""

    awaits_node = True

    __slots__ = ("_native", "_request")

    def __init__(self, native: NativeDialect, request: NodeRequest) -> None:
        self._native = native
        self._request = request

    def answer(self, value: Any) -> None:
        """Answer."""
        self._native.reply(self._request, envelopes.pack(value))

    def refuse(self, error: EventError) -> None:
        """Refuse."""
        self._native.refuse(self._request, error)
