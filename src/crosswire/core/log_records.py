"""The form in which a log publishes the messages that it keeps: a header of a log, and what the sender has made.

The header is made by the log, within Redis by its script. Numbers are little-endian. In front of the body stands the
sender's part, which the log keeps as it came.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial

import msgspec

from crosswire.core.positions import EPOCH_LENGTH
from crosswire.errors import InvalidMessage

RECORD_VERSION = 3
"""The first byte of a record; other messages on a room's channel begin with 1, or with 2 if they are signed."""
_RECORD = struct.Struct(f"<B{EPOCH_LENGTH}sQQ")
_SENDER = struct.Struct("<8sQ")
_BOTH = struct.Struct(f"<B{EPOCH_LENGTH}sQQ8sQ")
"""The header of a record, and the sender's part behind it."""
SENDER_SIZE = _SENDER.size
"""Bytes of the sender's part of a record."""


class LogRecord(msgspec.Struct, frozen=True, gc=False):
    """A message that a log keeps.

    Attributes:
        epoch: of the log.
        offset: of the message; 0 for a record without a body, which says that an epoch has begun.
        time: when it was kept, in milliseconds since 1970 by the clock of the log.
        origin: of the sender, 8 bytes.
        number: the sender's, larger than those of its earlier messages in the room.
        body: as the sender made it.
    """

    epoch: str
    offset: int
    time: int
    origin: bytes
    number: int
    body: bytes


pack_sender: Callable[[bytes, int], bytes] = partial(_SENDER.pack)
"""Encode the sender's part of a record: its origin (8 bytes) and number."""


def pack_record(epoch: str, offset: int, time: int, sent: bytes) -> bytes:
    """Encode a record, as a log publishes it; ``sent`` is the sender's part and the body."""
    return _RECORD.pack(RECORD_VERSION, epoch.encode(), offset, time) + sent


def unpack_record(record: bytes) -> LogRecord:
    """Decode a record.

    Raises:
        InvalidMessage: it is none.
    """
    try:
        version, epoch, offset, time, origin, number = _BOTH.unpack_from(record)
        name = epoch.decode("ascii")
    except (struct.error, UnicodeDecodeError) as error:
        raise InvalidMessage(f"no record of a log: {error}") from error
    if version != RECORD_VERSION:
        raise InvalidMessage(f"a record of version {version}; this is version {RECORD_VERSION}")
    if not name.isalnum():  # it gets into the text that clients are sent
        raise InvalidMessage("a record whose epoch is none")
    return LogRecord(name, offset, time, origin, number, record[_BOTH.size :])


def unpack_sent(epoch: str, offset: int, time: int, sent: bytes) -> LogRecord:
    """Decode what a log has kept of a message.

    Raises:
        InvalidMessage: the sender's part is incomplete.
    """
    try:
        origin, number = _SENDER.unpack_from(sent)
    except struct.error as error:
        raise InvalidMessage(f"no record of a log: {error}") from error
    return LogRecord(epoch, offset, time, origin, number, sent[_SENDER.size :])
