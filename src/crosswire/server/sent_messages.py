"""Counts of the messages that leave a server for its clients."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from crosswire.cluster.dialect import Deliver
from crosswire.core.formats import Encode, Encoded, EncodedMessage, Format
from crosswire.core.frames import Opcode
from crosswire.core.metric_families import MetricFamily
from crosswire.core.tallies import OTHER, RECIPIENTS, EventTotals, Histogram
from crosswire.core.targets import Excluded, Target, ToUsers
from crosswire.runtime.measured_answering import AnsweredCall

_START = b'{"event":"'
"""Beginning of every event that a node of ours has encoded."""


class SentMessages:
    """Number and bytes of the messages to clients by event, and the sizes of fan-outs.

    A message to many is counted once for all of them: nothing is done for each recipient.

    Args:
        answered: the call that is being answered.
    """

    __slots__ = ("_answered", "_fanouts", "_totals")

    def __init__(self, answered: AnsweredCall) -> None:
        self._answered = answered
        self._totals = EventTotals()
        self._fanouts = Histogram(RECIPIENTS)

    def families(self) -> Iterator[MetricFamily]:
        """Return the counts as metrics."""
        yield from self._totals.families(
            (
                "crosswire_messages_sent",
                "Messages handed to connections, by event; answers count under the event that they answer.",
            ),
            (
                "crosswire_sent_bytes",
                "Bytes of these messages as JSON or MessagePack, before compression and without frames.",
            ),
        )
        yield self._fanouts.family(
            "crosswire_fanout_recipients", "Connections that a message to a room, to users or to everyone went to here."
        )

    # To many

    def delivering(self, deliver: Deliver) -> Deliver:
        """Return a function that delivers and counts."""

        def counted(target: Target, message: EncodedMessage, exclude: Excluded | None) -> int:
            recipients = deliver(target, message, exclude)
            if recipients:
                text = message.json
                self._totals.add(event_of(text), recipients, recipients * len(text))
                if not (isinstance(target, ToUsers) and target.one):
                    self._fanouts.observe(recipients)
            return recipients

        return counted

    def gathering(self, event: str, recipients: int, size: int) -> None:
        """Count calls to many clients.

        Args:
            event: its name.
            recipients: number of the clients.
            size: bytes of the call to one.
        """
        self._totals.add(event, recipients, recipients * size)
        self._fanouts.observe(recipients)

    # To one

    def encoder(self, format: Format) -> Encode:
        """Return a function that encodes messages for a single connection, and counts them."""
        encode_payload, raw, answered = format.codec.encode, format.raw, self._answered
        known, admit = self._totals.known, self._totals.admit
        opcode = Opcode.BINARY if format.codec.binary else Opcode.TEXT

        def encode(message: msgspec.Struct) -> Encoded:
            payload = encode_payload(message)
            event = answered.event or getattr(message, "event", OTHER)
            totals = known.get(event) or admit(event)
            totals[0] += 1
            totals[1] += len(payload)
            return raw(opcode, payload)

        return encode


def event_of(text: bytes) -> str:
    """Return the name of the event in an encoded message; ``OTHER`` if it can't be read at a glance."""
    end = text.find(b'"', len(_START))
    name = text[len(_START) : end]
    if not text.startswith(_START) or end < 0 or b"\\" in name:
        return OTHER
    return name.decode("utf-8", "replace")
