"""Protocols of a dialect: how messages for clients and between nodes look, and on which channels they are sent."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Protocol

from crosswire.core.codecs import Codec
from crosswire.core.envelopes import (
    Answer,
    Beat,
    Claim,
    Doubt,
    Goodbye,
    LogPlace,
    NameTaken,
    NodeRequest,
)
from crosswire.core.formats import EncodedMessage
from crosswire.core.payload_types import RawPayload
from crosswire.core.targets import Excluded, Target, ToRoom
from crosswire.errors import EventError


class EventInbox(Protocol):
    """Takes the events and requests of other nodes."""

    def event(self, sender: str, event: str, codec: Codec, payload: RawPayload, traceparent: str | None = None) -> None:
        """Take an event that needs no answer; ``traceparent`` is its place in a trace."""

    def request(
        self,
        asker: Asker,
        sender: str,
        event: str,
        codec: Codec,
        payload: RawPayload,
        traceparent: str | None = None,
    ) -> None:
        """Take an event that has to be answered."""


class ReplyInbox(Protocol):
    """Takes the replies of other nodes to this node's requests."""

    def answered(self, sender: str, call_id: str, codec: Codec, payload: RawPayload) -> None:
        """Take the answer to a request."""

    def all_answered(self, answers: Sequence[Answer]) -> None:
        """Take answers that came together, from nodes of ours."""

    def refused(self, sender: str, call_id: str, error: EventError) -> None:
        """Take the refusal of a request."""


class Asker(Protocol):
    """Sends the answer to one request to the node that made it.

    Attributes:
        awaits_node: whether the node waits for this node's own answer, so that this node must refuse if it has no
            handler.
    """

    awaits_node: bool

    def answer(self, value: Any) -> None:
        """Send an answer.

        Raises:
            InvalidPayload: the value has no form that can be sent.
        """

    def refuse(self, error: EventError) -> None:
        """Send a refusal.

        Raises:
            InvalidPayload: the code or the message has no form that can be sent.
        """


class AskedRequest(Asker, Protocol):
    """The request of a node of ours, and what sends the answer to it."""

    @property
    def request(self) -> NodeRequest:
        """Return the request itself, as it came."""
        ...


class RequestInbox(EventInbox, Protocol):
    """Takes the events and requests of nodes of ours."""

    def all_requested(self, asked: Sequence[AskedRequest]) -> None:
        """Take requests that came together, in their order."""


class MemberInbox(Protocol):
    """Processes the messages about membership."""

    def beat(self, beat: Beat) -> None:
        """Process the beat of a node."""

    def unproven_beat(self, beat: Beat) -> None:
        """Process a beat that may be a replay."""

    def goodbye(self, goodbye: Goodbye) -> None:
        """Process the goodbye of a node."""

    def name_taken(self, taken: NameTaken) -> None:
        """Process the message that another node has this node's name."""

    def doubted(self, doubt: Doubt) -> None:
        """Process the doubt of a node whether a member is alive."""


class Deliver(Protocol):
    """Function that delivers messages to the clients of one node."""

    def __call__(self, target: Target, message: EncodedMessage, exclude: Excluded | None, /) -> int:
        """Deliver a message; return the number of connections that it was handed to."""
        ...


class ClientInbox(Protocol):
    """Takes the messages of other nodes for this node's clients."""

    @property
    def wants_msgpack(self) -> bool:
        """Whether one of the clients wants MessagePack."""
        ...

    @property
    def deliver(self) -> Deliver:
        """Function that delivers a message to the clients of the target that are connected to this node.

        It returns the number of connections that the message was handed to.

        Raises:
            InvalidPayload: the message is no JSON, and must be converted to MessagePack for some clients.
        """
        ...

    def deliver_texts(self, target: Target, texts: Sequence[bytes], /) -> None:
        """Deliver messages of which there is nothing but JSON, in their order, as ``deliver`` does with each.

        Args:
            target: whom they are for.
            texts: as they came from another node, but checked.
        """

    def claimed(self, user: str, claim: Claim) -> None:
        """Process the claim of another node that has a connection of this user too."""


class RoomInbox(Protocol):
    """Takes what comes on the channels of rooms that keep history."""

    def record(self, room: ToRoom, message: bytes) -> None:
        """Take a message of the log of a room."""

    def unplaced(
        self, room: ToRoom, message: EncodedMessage, excluded: Excluded | None, place: LogPlace | None, /
    ) -> None:
        """Take a message for the members of a room that did not come from its log.

        Args:
            room: where it was sent.
            message: as clients get it, without a position.
            excluded: users and sockets that don't get it.
            place: in the order of its sender's messages for the log; None if the sender knows nothing of the log.
        """


class Dialect(Protocol):
    """The messages of a node, and the channels that they are sent on.

    Attributes:
        label: names the dialect in the beats of nodes.
        codec: encodes the payloads of nodes' events.
        knows_members: whether all nodes of the dialect are members, so that only members can answer.
        echoes: whether a message on an application's own channel comes back to the node that published it.
    """

    label: str
    codec: Codec
    knows_members: bool
    echoes: bool

    def to_clients(self, target: Target, message: EncodedMessage, exclude: Excluded | None) -> None:
        """Send a message to the clients of other nodes."""

    def pack(self, data: Any) -> RawPayload:
        """Encode the data of an event.

        Raises:
            InvalidPayload: the data has no form that can be sent.
        """
        ...

    def send_event(self, to: Collection[str] | None, event: str, payload: RawPayload) -> None:
        """Send an event to other nodes; to all of them if ``to`` is None."""

    def send_request(self, to: Collection[str] | None, event: str, payload: RawPayload, call_id: str) -> None:
        """Send a request to other nodes; to all of them if ``to`` is None."""

    def send_call(self, name: str, event: str, data: Any, call_id: str) -> None:
        """Send a request to one other node; raises ``InvalidPayload``."""

    def send_own_answer(self, call_id: str, payload: RawPayload) -> None:
        """Publish this node's answer to its own request, if the dialect shows such an answer to others."""

    def listen_for_clients(self, clients: ClientInbox) -> None:
        """Subscribe to the channels of messages for all clients."""

    def subscribe_room(self, namespace: str, id: str) -> None:
        """Subscribe to the channel of a room.

        Raises:
            UsageError: the room can't be named in this dialect.
        """

    def unsubscribe_room(self, namespace: str, id: str) -> None:
        """Unsubscribe from the channel of a room."""

    def room_channel(self, namespace: str, id: str) -> bytes:
        """Return the channel of a room."""
        ...

    def subscribe(self, channel: str, receive: ReceivePublished) -> bytes:
        """Subscribe to an application's own channel; return its full name."""
        ...

    def unsubscribe(self, channel: str) -> None:
        """Unsubscribe from an application's own channel."""

    def publish(self, channel: str, payload: RawPayload) -> None:
        """Publish on an application's own channel."""


class ReceivePublished(Protocol):
    """Callback for messages on an application's own channel."""

    def __call__(self, sender: str, codec: Codec, payload: RawPayload) -> None:
        """Receive one message of a node, or of another program if the sender is empty."""
