"""Our own dialect: envelopes on a channel for each user, room and node."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple, cast

from crosswire.cluster.asking_nodes import AnswersTo, AskingNode
from crosswire.cluster.batches import MAX_APPENDED, Batches
from crosswire.cluster.bus_delay import PING
from crosswire.cluster.dialect import ClientInbox, MemberInbox, ReceivePublished, ReplyInbox, RequestInbox, RoomInbox
from crosswire.cluster.native_messages import NativeClientMessages
from crosswire.cluster.ordered_port import OrderedPort
from crosswire.cluster.received_messages import ReceivedClientMessages, is_valid
from crosswire.core import envelopes
from crosswire.core.channel_names import Channels
from crosswire.core.codecs import NODE_MSGPACK, Codec
from crosswire.core.envelopes import (
    SERVICE,
    Answer,
    Batch,
    Beat,
    Claim,
    Doubt,
    Envelope,
    Event,
    EventMessage,
    Goodbye,
    NameTaken,
    NodeRequest,
    PublishedMessage,
    TextBatch,
)
from crosswire.core.formats import EncodedMessage
from crosswire.core.payload_types import RawPayload
from crosswire.core.targets import Everyone, Excluded, Target, ToRoom, ToUsers
from crosswire.errors import EventError, InvalidMessage
from crosswire.runtime.log_records import get_logger
from crosswire.runtime.throttled_warnings import ThrottledWarnings, reason, shown

INCARNATION_LENGTH = 16
"""Characters of the incarnation of a node, and of what an emitter listens on for answers."""
PING_EVENT = f"{SERVICE}{PING}"
"""The event of a request that is answered by whoever is alive."""
MAX_NODE_CHANNELS = 1024
"""Channels of nodes whose names are remembered: made anew for each request, they would be most of its batching."""
_MAX_BEAT = 64 * 1024
"""Bytes of a beat, which each node remembers of each other."""

_decode = envelopes.decode_unwrapped
_encode = envelopes.encode
_ANSWERS = {Answer}
_REQUESTS = {NodeRequest}

logger = get_logger("crosswire.cluster")


class NodeChannels(NamedTuple):
    """The channels that every node listens on: one for all nodes, one for this run of the node, one for its name."""

    all_nodes: bytes
    incarnation: bytes
    name: bytes


class NativeDialect(NativeClientMessages[OrderedPort]):
    """The :class:`~crosswire.cluster.dialect.Dialect` of Crosswire's own nodes, spoken by one of them.

    Args:
        port: the node's end of the bus.
        channels: the names of the channels.
        name: of the node.
        incarnation: of the node.

    Attributes:
        to_user: publishes the JSON of a message for all connections of a user.
        unreadable: number of messages that were received and could not be read.
    """

    label = "native"
    codec: Codec = NODE_MSGPACK
    knows_members = True
    echoes = False

    def __init__(self, port: OrderedPort, channels: Channels, name: str, incarnation: str) -> None:
        super().__init__(port, channels)
        self._name = name
        self._incarnation = incarnation
        self._received = ReceivedClientMessages(self)
        self._batches = Batches(port)
        self._way_to = lru_cache(MAX_NODE_CHANNELS)(self._find_way_to)
        self._node_channel = lru_cache(MAX_NODE_CHANNELS)(channels.node)
        self._warnings = ThrottledWarnings(logger)
        self._publish_joined = port.publish_joined
        self.to_user: Callable[[str, bytes], None] = port.publisher_for_users(channels.user)
        self.unreadable = 0

    # Sending

    pack = staticmethod(envelopes.pack)

    def to_clients(self, target: Target, message: EncodedMessage, exclude: Excluded | None) -> None:
        """Publish a message for clients: on the channel of each user, of the room, or of all clients."""
        is_text = exclude is None and message.msgpack is None and message.policy is None
        if not is_text or (type(target) is ToUsers and len(target.users) != 1):
            super().to_clients(target, message, exclude)
        elif type(target) is ToUsers:
            self.to_user(target.users[0], message.json)
        elif type(target) is ToRoom:
            self._publish_joined(self._channels.room(target.namespace, target.id), message.json, TextBatch)
        else:
            self._publish_joined(self._channels.everyone, message.json, TextBatch)

    def send_event(
        self, to: Collection[str] | None, event: str, payload: RawPayload, traceparent: str | None = None
    ) -> None:
        message, channels = Event(self._name, event, payload, traceparent), self._channels_of(to)
        if len(channels) > 1:
            size = len(envelopes.encode(message))
            self._port.require_room([len(channel) + size for channel in channels])
        for channel in channels:
            self._batches.publish(channel, message)

    def send_request(
        self,
        to: Collection[str] | None,
        event: str,
        payload: RawPayload,
        call_id: str,
        traceparent: str | None = None,
    ) -> None:
        body = envelopes.encode(NodeRequest(self._name, self._incarnation, call_id, event, payload, traceparent))
        if to is None:
            self._batches.add(self._channels.nodes, body)
            return
        for name in to:
            self._batches.add(self._node_channel(name), body)

    def send_call(self, name: str, event: str, data: Any, call_id: str, traceparent: str | None = None) -> None:
        try:  # as a tuple, which looks like the NodeRequest once it is encoded, and takes half of the time
            body = _encode(("q", self._name, self._incarnation, call_id, event, data, traceparent))
        except envelopes.UNENCODABLE as error:
            raise envelopes.no_form(error) from error
        channel_of = self._node_channel  # read first: else Python looks for a method
        channel, batches = channel_of(name), self._batches
        waiting = batches.held.get(channel)
        if waiting and len(waiting) <= MAX_APPENDED:
            waiting.append(body)
        else:
            batches.add(channel, body)

    def ask(self, channel: bytes, event: str, call_id: str) -> None:
        """Send a request without data to the nodes that listen on a channel."""
        request = NodeRequest(self._name, self._incarnation, call_id, event, envelopes.pack(None))
        self._batches.add(channel, envelopes.encode(request))

    def incarnation_channel(self, incarnation: str) -> bytes:
        """Return the channel of one run of a node."""
        return self._channels.incarnation(incarnation)

    def flush(self) -> None:
        """Publish the messages that wait for the end of the turn."""
        self._batches.flush()

    def send_own_answer(self, call_id: str, payload: RawPayload) -> None:
        pass  # other nodes don't receive it

    def claim(self, user: str, stamp: int, *, alive: bool) -> None:
        """Announce to other nodes that this node has a connection of a user, and whether its peer has just answered."""
        self._port.announce(self._channels.user(user), envelopes.encode(Claim(self._incarnation, stamp, alive)))

    @property
    def dropped(self) -> int:
        """Number of requests and answers that were dropped, as the send buffer was full."""
        return self._batches.dropped

    def announce(self, message: Beat | Goodbye | Doubt) -> None:
        """Announce to all nodes a change of this node, or its doubt about a member."""
        self._port.announce(self._channels.nodes, envelopes.encode(message))

    def send_to_incarnation(self, incarnation: str, message: Beat | NameTaken) -> None:
        """Send a message about membership to one run of a node."""
        self._port.announce(self._channels.incarnation(incarnation), envelopes.encode(message))

    def send_to_name(self, name: str, message: Beat) -> None:
        """Send a beat to the node that has a name."""
        self._port.announce(self._channels.node(name), envelopes.encode(message))

    def _channels_of(self, to: Collection[str] | None) -> Collection[bytes]:
        return (self._channels.nodes,) if to is None else [self._channels.node(name) for name in to]

    # Receiving

    def listen_to_nodes(self, events: RequestInbox, replies: ReplyInbox, members: MemberInbox) -> None:
        """Subscribe to the channels of this node."""
        receive = partial(self._from_node, events, replies, members)
        for channel in self.own_channels:
            unproven = partial(self._from_unproven, events, replies, members)
            self._port.subscribe(channel, receive, is_readable=self._is_for_nodes, unproven=unproven)

    @property
    def own_channels(self) -> NodeChannels:
        """The channels that this node subscribes to, with or without clients."""
        channels = self._channels
        return NodeChannels(channels.nodes, channels.incarnation(self._incarnation), channels.node(self._name))

    @property
    def client_channels(self) -> tuple[bytes]:
        """The channels that every server subscribes to as well: the channel for all clients."""
        return (self._channels.everyone,)

    def listen_for_clients(self, clients: ClientInbox) -> None:
        self._received.clients = clients
        self._subscribe_clients(self._channels.everyone, Everyone())

    def subscribe_user(self, user: str) -> None:
        """Subscribe to the channel of a user."""
        self._subscribe_clients(self._channels.user(user), ToUsers((user,)))

    def unsubscribe_user(self, user: str) -> None:
        """Unsubscribe from the channel of a user."""
        self._port.unsubscribe(self._channels.user(user))

    def user_channel(self, user: str) -> bytes:
        """Return the channel of a user."""
        return self._channels.user(user)

    def subscribe_room(self, namespace: str, id: str) -> None:
        self._subscribe_clients(self._channels.room(namespace, id), ToRoom(namespace, id))

    def subscribe_kept_room(self, room: ToRoom, inbox: RoomInbox) -> None:
        """Subscribe to the channel of a room that keeps history."""
        receive = partial(self._received.take_for_kept_room, room, inbox)
        self._port.subscribe(
            self._channels.room(room.namespace, room.id),
            receive,
            is_readable=partial(receive, only_check=True),
            take_record=partial(inbox.record, room),
        )

    def unsubscribe_room(self, namespace: str, id: str) -> None:
        self._port.unsubscribe(self._channels.room(namespace, id))

    def room_channel(self, namespace: str, id: str) -> bytes:
        return self._channels.room(namespace, id)

    def room_of(self, channel: bytes) -> tuple[str, str] | None:
        """Return the namespace and the id of the room that has a channel; None if no room has it."""
        return self._channels.room_of(channel.decode())

    def subscribe(self, channel: str, receive: ReceivePublished) -> bytes:
        name = self._channels.custom(channel)
        self._port.subscribe(name, partial(self._published, receive), is_readable=self._is_published)
        return name

    def unsubscribe(self, channel: str) -> None:
        self._port.unsubscribe(self._channels.custom(channel))

    def publish(self, channel: str, payload: RawPayload) -> None:
        self._port.publish(self._channels.custom(channel), envelopes.encode(PublishedMessage(self._name, payload)))

    # ReadingEvents

    def read(self, body: bytes) -> Envelope | None:
        """Decode an envelope; count one that can't be read, and return None."""
        try:
            return _decode(body)
        except envelopes.UNDECODABLE as error:
            self.note_unreadable(InvalidMessage(str(error)))
            return None

    def note_unreadable(self, why: object) -> None:
        """Count a message that can't be used, and log why."""
        self.unreadable += 1
        text = reason(why) if isinstance(why, BaseException) else shown(str(why))
        self._warnings.warn("unreadable", "a message that came over the bus could not be read, and is lost: %r", text)

    def _subscribe_clients(self, channel: bytes, target: Target) -> None:
        receive = partial(self._received.take, target)
        self._port.subscribe(channel, receive, is_readable=partial(receive, only_check=True))

    # Each receiver returns False for what can't be read: its number in the sender's order does not count.

    def misplaced(self, message: Envelope | None, purpose: str) -> bool:
        """Note a message that does not belong on its channel, unless it is None, which is noted; return False."""
        if message is not None:
            self.note_unreadable(f"{type(message).__name__} is not {purpose}, or no node says so")
        return False

    def _published(self, receive: ReceivePublished, body: bytes) -> bool:
        message = self.read(body)
        if type(message) is not PublishedMessage:
            return self.misplaced(message, "published by an application")
        receive(message.sender, NODE_MSGPACK, message.payload)
        return True

    def _is_published(self, body: bytes) -> bool:
        message = self.read(body)
        return type(message) is PublishedMessage or self.misplaced(message, "published by an application")

    def _from_node(self, events: RequestInbox, replies: ReplyInbox, members: MemberInbox, body: bytes) -> bool:
        message = self.read(body)
        if type(message) is Batch:
            self._receive_batch(events, replies, message.messages)
        elif isinstance(message, EventMessage):
            self._receive_event_message(events, replies, message)
        elif isinstance(message, NameTaken):
            members.name_taken(message)
        elif isinstance(message, Doubt):
            members.doubted(message)
        elif not isinstance(message, Beat | Goodbye) or not is_valid(message) or len(body) > _MAX_BEAT:
            return self.misplaced(message, "for nodes")
        elif isinstance(message, Beat):
            members.beat(message)
        else:
            members.goodbye(message)
        return True

    def _from_unproven(self, events: RequestInbox, replies: ReplyInbox, members: MemberInbox, body: bytes) -> bool:
        """Take a message that may be a replay if it has no effect then: an answer to a question, what is checked."""
        message = self.read(body)
        if type(message) is Batch:
            useful = [each for each in message.messages if _is_harmless(each)]
            for each in useful:
                self._receive_event_message(events, replies, each)
            return len(useful) == len(message.messages)
        if not isinstance(message, Beat | Goodbye | NameTaken | Doubt | EventMessage) or not _is_harmless(message):
            return False
        if not isinstance(message, Beat):
            return self._from_node(events, replies, members, body)
        if not is_valid(message):
            return False
        members.unproven_beat(message)
        return True

    def _is_for_nodes(self, body: bytes) -> bool:
        message = self.read(body)
        if isinstance(message, Batch | EventMessage | NameTaken | Doubt):
            return True
        if isinstance(message, Beat | Goodbye) and is_valid(message) and len(body) <= _MAX_BEAT:
            return True
        return self.misplaced(message, "for nodes")

    def _receive_batch(self, events: RequestInbox, replies: ReplyInbox, messages: list[EventMessage]) -> None:
        """Take a batch: of answers or of requests alone, as nearly all are, in one step."""
        kinds = set(map(type, messages))
        if kinds == _ANSWERS:
            replies.all_answered(cast(list[Answer], messages))
        elif kinds == _REQUESTS:
            events.all_requested(self._asking_nodes(cast(list[NodeRequest], messages)))
        else:
            for each in messages:
                self._receive_event_message(events, replies, each)

    def _receive_event_message(self, events: RequestInbox, replies: ReplyInbox, message: EventMessage) -> None:
        if isinstance(message, Answer):
            replies.answered(message.sender, message.call_id, NODE_MSGPACK, message.payload)
        elif isinstance(message, NodeRequest):
            events.all_requested(self._asking_nodes((message,)))
        elif isinstance(message, Event):
            events.event(message.sender, message.event, NODE_MSGPACK, message.payload, message.traceparent)
        else:
            replies.refused(
                message.sender,
                message.call_id,
                EventError(message.code, message.message, sender=message.sender),
            )

    def _asking_nodes(self, requests: Sequence[NodeRequest]) -> list[AskingNode]:
        """Return requests with the way of their answers; without those whose asker can't be a node."""
        way_to = self._way_to
        asking = [AskingNode(each, way) for each in requests if (way := way_to(each.asker)) is not None]
        for _ in range(len(requests) - len(asking)):
            self.note_unreadable("no node asks as that")
        return asking

    def _find_way_to(self, asker: str) -> AnswersTo | None:
        if len(asker) != INCARNATION_LENGTH:
            return None
        return AnswersTo(self._channels.incarnation(asker), self._name, self._batches)


def _is_harmless(message: EventMessage | Beat | Goodbye | NameTaken | Doubt) -> bool:
    """Return whether a message has no effect if it is a replay."""
    if isinstance(message, NodeRequest):
        return message.event == PING_EVENT
    return not isinstance(message, Event)
