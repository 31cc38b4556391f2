"""The interface of the logs that keep rooms' messages.

A log stands beside the bus: a port of a bus opens it (:meth:`crosswire.cluster.interface.Port.open_log`). It gives each
message of a room its offset, keeps the last ones, and publishes each on the channel of the room as a record
(:mod:`crosswire.core.log_records`), which comes to every port that listens, the sender's own too. The offsets are the
order of the room for everybody. The contract suite in ``crosswire.testing`` checks a log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import NamedTuple, Protocol

from crosswire.core.log_records import LogRecord
from crosswire.core.positions import LogPosition
from crosswire.core.targets import ToRoom


class RoomLog(NamedTuple):
    """The log of one room.

    Attributes:
        room: whose messages it keeps.
        channel: where it publishes them.
        size: number of messages that it keeps.
        ttl: seconds for which it keeps a message. The log itself exists two minutes longer after its last use.
    """

    room: ToRoom
    channel: bytes
    size: int
    ttl: float


class AppendedMessage(Protocol):
    """A message to be kept.

    Attributes:
        number: larger than those of the sender's earlier messages in the room.
        body: what is kept and published.
        id: of the application: a second message with it is not kept, for two minutes; None if it has none.
    """

    @property
    def number(self) -> int:
        """Place of the message in the order of its sender."""
        ...

    @property
    def body(self) -> bytes:
        """Bytes that come back in reads."""
        ...

    @property
    def id(self) -> str | None:
        """Name by which the log knows a second attempt."""
        ...


class NewMessage(NamedTuple):
    """An :class:`AppendedMessage` and nothing else."""

    number: int
    body: bytes
    id: str | None = None


class AppendFailure(Enum):
    """The reasons for which messages are not appended."""

    LOST = "lost"
    """The connection ended before the log had answered: perhaps they are kept. The same numbers may be sent again."""
    REFUSED = "refused"
    """No memory is left, or the messages are invalid: none is kept or published."""


class Append(NamedTuple):
    """Messages of one sender and one room, to be appended together. One of the callbacks is called once, later.

    Attributes:
        log: the room's.
        origin: of the sender, 8 bytes.
        previous: number of the sender's message in the room before these, if it may not be kept yet; 0 if it is. Where
            it is not kept, these are refused: so nothing is kept out of order when a message in front was refused.
        messages: oldest first; empty to begin a new epoch and nothing else.
        new_epoch: whether what was kept before is void, as messages were delivered that the log does not have. The same
            messages sent again, as after a loss, begin no second epoch.
        settling: seconds of a new epoch, if one begins now, whose positions are not good for a recovery: messages on
            other paths may still come.
        kept: takes the position of each message, in order. For a number that was kept before it is the position it got
            then, or the last position of the log; for a known id, the position of the first message with it.
        failed: takes the reason, and a text for the log file.
    """

    log: RoomLog
    origin: bytes
    previous: int
    messages: Sequence[AppendedMessage]
    new_epoch: bool
    settling: float
    kept: Callable[[Sequence[LogPosition]], None]
    failed: Callable[[AppendFailure, str], None]


class Tail(NamedTuple):
    """The end of a room's log.

    Attributes:
        last: the position of the last message; its offset is 0 if there is none yet in this epoch.
        settled: the smallest offset whose position is good for a recovery; 0 if all are.
        now: time of the log's clock, in milliseconds since 1970.
        records: the messages after the asked offset that are kept and not older than the time to live, oldest first.
    """

    last: LogPosition
    settled: int
    now: int
    records: Sequence[LogRecord]


class LogEvents(Protocol):
    """Callbacks of a log, which the owner must not let raise."""

    def holder_changed(self, holder: str) -> None:
        """Take note that a holder of logs can be reached now, or no more. :meth:`Log.is_available` says which."""

    def logs_moved(self) -> None:
        """Take note that there is another set of holders: the logs of some rooms have moved, and begin anew."""


class Log(Protocol):
    """The logs of all rooms, as one node uses them. Only the coroutines wait.

    Appends of one room are carried out in the order in which they were handed over, unless one fails.
    """

    async def start(self) -> None:
        """Connect, and return when the holders can be reached or after a short while. It may be called again."""

    async def stop(self) -> None:
        """Let what was appended fail that has no answer soon, and disconnect. It may be called twice."""

    def holder(self, log: RoomLog) -> str:
        """Return the name of what holds a room's log, such as one of several Redis: the same on every node."""
        ...

    def is_available(self, log: RoomLog) -> bool:
        """Return whether the holder of a log can be reached now. If not, nothing may be appended."""
        ...

    def append(self, append: Append) -> None:
        """Append messages, and publish them, at the end of this turn at the latest."""

    def announce(self, namespaces: Mapping[str, tuple[int, float]]) -> None:
        """Tell programs that are no nodes, if there may be any, which namespaces keep history: their size and ttl.

        It is called at each change, and twice a minute. The mapping changes with what is declared.
        """

    async def read(self, log: RoomLog, after: int = 0, *, limit: int | None = None) -> Tail:
        """Read what is kept after an offset, ``limit`` messages from the oldest on at most. A log that does not exist,
        or is of another run of its holder, begins a new epoch.

        Raises:
            BusUnavailable: the holder can't be reached, or does not answer.
        """
        ...

    async def read_before(self, log: RoomLog, before: int | None, limit: int) -> Tail:
        """Read the last ``limit`` messages before an offset, or the last of all; the end of ``records`` is newest.

        Raises:
            BusUnavailable: as :meth:`read`.
        """
        ...

    async def last_positions(self, logs: Sequence[RoomLog]) -> Sequence[LogPosition | None]:
        """Return the last position of each of up to 256 logs with the same holder; None for a log that does not exist,
        or is of another run of its holder.

        Raises:
            BusUnavailable: as :meth:`read`.
        """
        ...
