"""How nodes speak: what is said of clients and between nodes, as messages on channels. Ours, or the original's."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol

from crosswire.core.audience import Excluded, Target
from crosswire.core.envelopes import Beat, Claim, Goodbye, NameTaken
from crosswire.core.formats import Payloads
from crosswire.core.messages import Codec
from crosswire.core.payloads import RawPayload
from crosswire.errors import EventError


class EventInbox(Protocol):
    """Takes the events and requests of other nodes."""

    def event(self, sender: str, event: str, codec: Codec, payload: RawPayload) -> None:
        """Take an event."""

    def request(self, asker: Asker, sender: str, event: str, codec: Codec, payload: RawPayload) -> None:
        """Take an event that has to be answered."""


class ReplyInbox(Protocol):
    """Takes the replies of other nodes to this node's requests."""

    def answered(self, sender: str, call_id: str, codec: Codec, payload: RawPayload) -> None:
        """Take an answer."""

    def refused(self, sender: str, call_id: str, error: EventError) -> None:
        """Take a refusal."""


class Asker(Protocol):
    """Waits for the answer to one request.

    Attributes:
        awaits_node: whether it waits for this very node, and so wants to be told that there is no handler.
    """

    awaits_node: bool

    def answer(self, value: Any) -> None:
        """Answer; raises InvalidPayload for what can't be sent."""

    def refuse(self, error: EventError) -> None:
        """Refuse; raises InvalidPayload where the refusal can't be sent."""


class MemberInbox(Protocol):
    """Takes what other nodes say of themselves."""

    def beat(self, beat: Beat) -> None:
        """One is there."""

    def goodbye(self, goodbye: Goodbye) -> None:
        """One leaves."""

    def name_taken(self, taken: NameTaken) -> None:
        """This node's name is another's."""


class ClientInbox(Protocol):
    """Takes what other nodes say to clients. A server is one; a node without clients has no use for it."""

    def deliver(self, target: Target, payloads: Payloads, exclude: Excluded | None) -> None:
        """Pass a message on to those of the target that are connected here.

        Raises:
            InvalidPayload: it is no JSON, and some want it as MessagePack.
        """

    def claimed(self, user: str, claim: Claim) -> None:
        """Another node has a connection of this user too."""


class Dialect(Protocol):
    """What a node can say, and listen to.

    Attributes:
        label: tells it from others, to other nodes.
        codec: of the payloads of nodes' events.
        knows_members: whether all who take part are members, so that who is no member can't answer.
        echoes: whether what is published on an application's own channel comes back to who published it.
    """

    label: str
    codec: Codec
    knows_members: bool
    echoes: bool

    def to_clients(self, target: Target, payloads: Payloads, exclude: Excluded | None) -> None:
        """Send a message to clients of other nodes."""

    def pack(self, data: Any) -> RawPayload:
        """Encode the data of a node's event; raises InvalidPayload."""
        ...

    def send_event(self, to: Collection[str] | None, event: str, payload: RawPayload) -> None:
        """Send other nodes an event; None for all."""

    def send_request(self, to: Collection[str] | None, event: str, payload: RawPayload, call_id: str) -> None:
        """Send other nodes a request."""

    def send_own_answer(self, call_id: str, payload: RawPayload) -> None:
        """Note that this node answered a request of its own, which was sent to others too."""

    def serve(self, clients: ClientInbox) -> None:
        """Listen for clients."""

    def subscribe_room(self, namespace: str, id: str) -> None:
        """Listen for a room."""

    def unsubscribe_room(self, namespace: str, id: str) -> None:
        """Listen for a room no more."""

    def room_channel(self, namespace: str, id: str) -> bytes:
        """Where messages for a room come."""
        ...

    def subscribe(self, channel: str, receive: ReceivePublished) -> bytes:
        """Listen to an application's own channel; return its whole name."""
        ...

    def unsubscribe(self, channel: str) -> None:
        """Listen to it no more."""

    def publish(self, channel: str, payload: RawPayload) -> None:
        """Publish there."""


class ReceivePublished(Protocol):
    """Takes what comes on an application's own channel."""

    def __call__(self, sender: str, codec: Codec, payload: RawPayload) -> None:
        """One message."""
