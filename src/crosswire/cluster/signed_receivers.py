"""Receivers of signed messages: what is not signed with the secret, or replayed, has no effect but a counter."""

from __future__ import annotations

from typing import Protocol

from crosswire.cluster.interface import Receive
from crosswire.cluster.ordered_receiver import OrderedReceiver, is_record
from crosswire.cluster.receivers import ReceiveUnproven
from crosswire.core.freshness import REMEMBERED_FOR, Freshness, Numbers
from crosswire.core.sequencing import Sequencer
from crosswire.core.signing import PLAIN_PART, SIGNED_HEADER_SIZE, SignedHeader, Signer
from crosswire.errors import InvalidMessage
from crosswire.runtime import environment

MICROSECONDS = 1_000_000
"""Microseconds of a second."""


class RefusalEvents(Protocol):
    """Callbacks for messages that are refused."""

    def message_refused(self, message: bytes, why: str) -> None:
        """Count a message that is not signed with the secret."""

    def message_replayed(self) -> None:
        """Count a message that was sent before this node listened."""

    def record_came(self, channel: bytes, message: bytes) -> None:
        """Take a message of a log that came on a channel which no log of a room is known to use."""


class SignedReceiver:
    """Takes the signed messages of one channel, and hands those that are new to an :class:`OrderedReceiver`.

    Args:
        ordered: restores their order.
        sequencer: that of ``ordered``: it knows the senders that were heard on the channel.
        own: the origin of this node.
        signer: checks signatures.
        freshness: judges the first message of each sender.
        numbers: the last numbers on the channel, if this node listened on it not long ago.
        unproven: takes what is checked in another way, such as answers to a question just asked; None on channels where
            there is nothing of that kind.
        events: called when a message is refused.
    """

    __slots__ = (
        "_events",
        "_freshness",
        "_numbers",
        "_opened",
        "_ordered",
        "_own",
        "_sequencer",
        "_signer",
        "_unproven",
    )

    def __init__(
        self,
        ordered: OrderedReceiver,
        sequencer: Sequencer,
        own: bytes,
        signer: Signer,
        freshness: Freshness,
        numbers: Numbers,
        unproven: ReceiveUnproven | None,
        events: RefusalEvents,
    ) -> None:
        self._ordered = ordered
        self._sequencer = sequencer
        self._own = own
        self._signer = signer
        self._freshness = freshness
        self._numbers = numbers
        self._unproven = unproven
        self._events = events
        self._opened = environment.monotonic()

    def take(self, message: bytes) -> None:
        """Take a message with its header."""
        try:
            header = self._signer.read(self._ordered.channel, message)
        except InvalidMessage as error:
            if is_record(message):  # it is signed in another way
                self._events.record_came(self._ordered.channel, message)
            else:
                self._events.message_refused(message, str(error))
            return
        origin, number, previous, _sent = header
        if origin == self._own:
            return
        now = environment.monotonic()
        self._freshness.heard(origin, header.sent / MICROSECONDS, now)
        # What has a smaller number than a message that was new may be older than this node's subscription.
        if number < self._sequencer.first_number(origin) and not self._is_new(header, now):
            if self._unproven is None or not self._unproven(message[SIGNED_HEADER_SIZE:]):
                self._events.message_replayed()
            return
        self._ordered.place(origin, number, previous, message[PLAIN_PART:], now)

    def _is_new(self, header: SignedHeader, now: float) -> bool:
        if header.number <= self._numbers.get(header.origin, 0):
            return False
        sent, wall_time = header.sent / MICROSECONDS, environment.wall_time()
        return self._freshness.is_new(header.origin, sent, self._opened, now, wall_time)


class SignedChannels:
    """Makes the receivers of one node's channels check signatures; a :class:`~crosswire.cluster.receivers.Signing`.

    Args:
        own: the origin of the node.
        signer: checks signatures.
        events: called when a message is refused.
    """

    forget_after = REMEMBERED_FOR

    def __init__(self, own: bytes, signer: Signer, events: RefusalEvents) -> None:
        self._own = own
        self._signer = signer
        self._events = events
        self._freshness = Freshness()

    def receiver(self, ordered: OrderedReceiver, sequencer: Sequencer, unproven: ReceiveUnproven | None) -> Receive:
        """Return a function that takes the messages of a channel."""
        numbers = self._freshness.reopened(ordered.channel, environment.monotonic())
        signer, freshness, events = self._signer, self._freshness, self._events
        return SignedReceiver(ordered, sequencer, self._own, signer, freshness, numbers, unproven, events).take

    def closed(self, ordered: OrderedReceiver) -> None:
        """Remember the last numbers on a channel that this node leaves."""
        self._freshness.closed(ordered.channel, ordered.numbers, environment.monotonic())

    def came(self, origin: bytes) -> None:
        """Trust the clock of a member that has shown that it is alive."""
        self._freshness.came(origin, environment.monotonic())

    def went(self, origin: bytes) -> None:
        """Refuse the messages of a member that is gone, until it is back."""
        self._freshness.went(origin, environment.monotonic())
