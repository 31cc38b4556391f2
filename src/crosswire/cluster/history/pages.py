"""Pages of the history of rooms, as applications read them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from crosswire.cluster.history.bodies import Bodies
from crosswire.cluster.log.interface import Log, RoomLog
from crosswire.core.log_records import LogRecord
from crosswire.core.positions import LogPosition
from crosswire.errors import InvalidMessage, InvalidPayload
from crosswire.types import HistoryMessage, HistoryPage, Position

NOTHING_KNOWN = HistoryPage((), complete=False)
"""The page before a position of an epoch that is over: nothing before it can be had."""


class _Event(msgspec.Struct):
    """An event as clients get it, with data that an application reads."""

    event: str
    payload: msgspec.Raw = msgspec.Raw(b"null")


_read_event = msgspec.json.Decoder(_Event).decode


async def read_page(log: Log, room: RoomLog, bodies: Bodies, before: LogPosition | None, limit: int) -> HistoryPage:
    """Read the last messages before a position, or the last of all.

    Raises:
        BusUnavailable: the log can't be read.
    """
    tail = await log.read_before(room, None if before is None else before.offset, limit)
    if before is not None and before.epoch != tail.last.epoch:
        return NOTHING_KNOWN
    messages = tuple(each for record in tail.records if (each := _message(bodies, room.channel, record)) is not None)
    return HistoryPage(messages, complete=await _is_complete(log, room, tail.records, tail.last, before))


async def _is_complete(
    log: Log, room: RoomLog, page: Sequence[LogRecord], last: LogPosition, before: LogPosition | None
) -> bool:
    """Return whether everything before a page is still kept: the first message of the log is."""
    first_of_page = (
        page[0].offset if page else min(last.offset + 1, last.offset + 1 if before is None else before.offset)
    )
    if first_of_page <= 1:
        return True
    oldest = await log.read(room, limit=1)
    return oldest.last.epoch == last.epoch and bool(oldest.records) and oldest.records[0].offset == 1


def _message(bodies: Bodies, channel: bytes, record: LogRecord) -> HistoryMessage | None:
    """Return a message of a log as applications get it; None if it can't be read."""
    try:
        kept = bodies.read(channel, record)
        event = _read_event(kept.message.json)
    except (InvalidMessage, InvalidPayload, msgspec.MsgspecError):
        return None  # somebody else has put it there; nobody was told of it as a message of the room
    position = Position(str(LogPosition(record.epoch, record.offset)))
    return HistoryMessage(event.event, msgspec.json.decode(event.payload), position, record.time / 1000)
