"""Reading of messages for clients in our own dialect, as they come from other nodes and from emitters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Protocol

from crosswire.cluster.dialect import ClientInbox, RoomInbox
from crosswire.core import envelopes
from crosswire.core.envelopes import Beat, Claim, ClientBatch, ClientMessage, Envelope, Goodbye, TextBatch
from crosswire.core.formats import EncodedMessage, require_event_texts, require_events
from crosswire.core.membership import BEAT_INTERVAL
from crosswire.core.options import MAX_NODE_NAME
from crosswire.core.targets import Target, ToRoom, ToUsers
from crosswire.errors import InvalidMessage, InvalidPayload
from crosswire.runtime.log_records import get_logger

_INCARNATION = re.compile("[0-9a-f]{16}")
_MAX_PATHS = 100
"""Redis that a node listens on; no node has as many."""
_MAX_EVERY = 60.0
"""Seconds between two beats of a node; no cluster is so large."""
_MAX_STAMP = 2**62
"""Microseconds since 1970, more than a stamp has for thousands of years."""

_decode = envelopes.decode_unwrapped

logger = get_logger("crosswire.cluster")


class ReadingEvents(Protocol):
    """Callbacks for what can't be read."""

    def read(self, body: bytes) -> Envelope | None:
        """Decode an envelope; count one that can't be read, and return None."""
        ...

    def note_unreadable(self, why: object) -> None:
        """Count a message that can't be used, and log why."""

    def misplaced(self, message: Envelope | None, purpose: str) -> bool:
        """Note a message that does not belong on its channel, unless it is None, which is noted; return False."""
        ...


class ReceivedClientMessages:
    """Checks what comes on the channels of clients, and hands it to the clients of this node.

    Its methods return False for what can't be read, of which nothing is handed on: an invalid message spoils its batch,
    which no node has sent.

    Args:
        events: called for what can't be read.

    Attributes:
        clients: of this node; None while there are none.
    """

    __slots__ = ("_events", "clients")

    def __init__(self, events: ReadingEvents) -> None:
        self._events = events
        self.clients: ClientInbox | None = None

    def take(self, target: Target, body: bytes, *, only_check: bool = False) -> bool:
        """Take what came on the channel of a target."""
        try:
            envelope = _decode(body)
        except envelopes.UNDECODABLE as error:
            self._events.note_unreadable(InvalidMessage(str(error)))
            return False
        clients = None if only_check else self.clients
        if type(envelope) is TextBatch:
            try:
                require_event_texts(envelope.texts)
            except InvalidPayload as error:
                self._events.note_unreadable(error)
                return False
            if clients is not None:
                clients.deliver_texts(target, envelope.texts)
            return True
        return self._take_messages(target, envelope, clients)

    def _take_messages(self, target: Target, envelope: Envelope, clients: ClientInbox | None) -> bool:
        """Take what is no batch of texts."""
        if type(envelope) is ClientMessage:
            received: Sequence[ClientMessage] = (envelope,)
        elif type(envelope) is ClientBatch:
            received = envelope.messages
        elif type(envelope) is Claim and isinstance(target, ToUsers) and is_valid(envelope):
            if clients is not None:
                clients.claimed(target.users[0], envelope)
            return True
        else:
            return self._events.misplaced(envelope, "for clients")
        try:
            require_events(received)
        except InvalidPayload as error:
            self._events.note_unreadable(error)
            return False
        if clients is None:
            return True
        if len(received) > 1 and not clients.wants_msgpack and _are_for_all(received):
            clients.deliver_texts(target, [each.json for each in received])
        else:
            _deliver(clients, target, received)
        return True

    def take_for_kept_room(self, room: ToRoom, inbox: RoomInbox, body: bytes, *, only_check: bool = False) -> bool:
        """Take what came on the channel of a room that keeps history, but not from its log."""
        envelope = self._events.read(body)
        if type(envelope) is ClientMessage:
            received: Sequence[ClientMessage] = (envelope,)
        elif type(envelope) is ClientBatch:
            received = envelope.messages
        elif type(envelope) is TextBatch:
            received = [ClientMessage(text) for text in envelope.texts]
        else:
            return self._events.misplaced(envelope, "for a room")
        try:
            require_events(received)
        except InvalidPayload as error:
            self._events.note_unreadable(error)
            return False
        if not only_check:
            for each in received:
                inbox.unplaced(room, _encoded(each), envelopes.excluded_of(each), each.place)
        return True


def _deliver(clients: ClientInbox, target: Target, received: Iterable[ClientMessage]) -> None:
    """Deliver messages one by one, each to those whom it is for."""
    deliver = clients.deliver
    for each in received:
        excluded = envelopes.excluded_of(each) if each.exclude or each.exclude_sockets else None
        try:
            deliver(target, _encoded(each), excluded)
        except Exception:
            logger.exception("delivering a message of another node failed")  # and on to the next


def _are_for_all(received: Iterable[ClientMessage]) -> bool:
    """Return whether nobody is left out of messages, and none may be dropped."""
    for each in received:  # noqa: SIM110 - a generator would cost several times as much
        if each.exclude or each.exclude_sockets or each.policy is not None:
            return False
    return True


def _encoded(message: ClientMessage) -> EncodedMessage:
    """Return what clients get of a message."""
    return EncodedMessage(message.json, message.msgpack, message.policy)


def is_valid(message: Beat | Goodbye | Claim) -> bool:
    """Return whether the incarnation, the stamp and the paths can be those of a node."""
    if isinstance(message, Beat) and not (
        0 < len(message.name) <= MAX_NODE_NAME
        and message.name.isprintable()
        and len(message.paths) <= _MAX_PATHS
        and len(message.dialect) <= MAX_NODE_NAME
        and isfinite(message.since)
        and BEAT_INTERVAL <= message.every <= _MAX_EVERY
    ):
        return False
    return _INCARNATION.fullmatch(message.incarnation) is not None and 0 <= message.stamp <= _MAX_STAMP
