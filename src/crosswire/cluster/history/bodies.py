"""The messages that logs keep: how this node makes them, and how it reads them."""

from __future__ import annotations

from collections.abc import Sequence

from crosswire.cluster.history.own_messages import OwnMessages
from crosswire.core import envelopes
from crosswire.core.envelopes import ClientMessage, LogPlace, excluded_of
from crosswire.core.formats import EncodedMessage, require_events
from crosswire.core.log_records import LogRecord
from crosswire.core.positioned_messages import with_position
from crosswire.core.signing import RecordSigner
from crosswire.core.targets import Excluded
from crosswire.core.timeline import Kept
from crosswire.errors import InvalidMessage


class Bodies:
    """Makes and reads the messages of rooms that keep history, as the logs have them.

    Args:
        origin: of this node, 8 bytes.
        keys: with which messages are signed; empty if they are not.

    Attributes:
        own: messages of this node that need not be read when they come back.
    """

    __slots__ = ("_origin", "_signer", "own")

    def __init__(self, origin: bytes, keys: Sequence[bytes]) -> None:
        self.own = OwnMessages()
        self._origin = origin
        self._signer = RecordSigner(keys) if keys else None

    def make(self, channel: bytes, number: int, message: EncodedMessage, excluded: Excluded | None) -> bytes:
        """Encode a message for the log of the room that has a channel."""
        if excluded is None:  # the log has its place: see core/log_records.py
            body = envelopes.encode(ClientMessage(message.json, (), message.msgpack, (), message.policy))
        else:
            body = self.copy(number, message, excluded, waits=False)
        return body if self._signer is None else self._signer.sign(channel, self._origin, number, body)

    def copy(self, number: int, message: EncodedMessage, excluded: Excluded | None, *, waits: bool) -> bytes:
        """Encode a copy of a message for the bus; with ``waits`` for receivers that get it from the log, probably."""
        users, sockets, owners = ((), (), ()) if excluded is None else _parts(excluded)
        place = LogPlace(self._origin, number, waits, owners)
        return envelopes.encode(ClientMessage(message.json, users, message.msgpack, sockets, message.policy, place))

    def read(self, channel: bytes, record: LogRecord) -> Kept:
        """Return a message of a log, with its position.

        Raises:
            InvalidMessage, InvalidPayload: it is none, or not signed as it should be.
        """
        own = None
        if record.origin == self._origin:
            own = self.own.take(channel, record.number, record.body)
        encoded, excluded = self.read_unplaced(channel, record) if own is None else (own.message, own.excluded)
        positioned = with_position(encoded, record.epoch, record.offset)
        return Kept(record.offset, record.time, record.origin, record.number, positioned, excluded)

    def read_unplaced(self, channel: bytes, record: LogRecord) -> tuple[EncodedMessage, Excluded | None]:
        """Return a message of a log without its position, and whom it is not for.

        Raises:
            InvalidMessage, InvalidPayload: as :meth:`read`.
        """
        body = record.body
        if self._signer is not None:
            body = self._signer.read(channel, record.origin, record.number, body)
        message = envelopes.decode(body)
        if not isinstance(message, ClientMessage):
            raise InvalidMessage(f"a log keeps messages for clients, not {type(message).__name__}")
        require_events((message,))
        encoded = EncodedMessage(message.json, message.msgpack, message.policy)
        return encoded, excluded_of(message) if message.exclude or message.exclude_sockets else None


def _parts(excluded: Excluded) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    return excluded.users, excluded.sockets, excluded.owners
