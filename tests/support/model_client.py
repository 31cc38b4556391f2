"""A client of one room, in a model: it complains of what it is told that is not true, or is not told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from crosswire.core.positions import LogPosition, parse_position


class Lie(AssertionError):
    """A client was told something that is not true, or was not told what it had to be told."""


def require(truth: bool, complaint: str) -> None:
    """Raise :class:`Lie` unless something is true."""
    if not truth:
        raise Lie(complaint)


class Fallback(NamedTuple):
    """A message that was delivered without a position, as the log could not be reached.

    Attributes:
        message: its number in the model.
        after: the last position of the log at that time.
        told: the nodes to which it was sent.
    """

    message: int
    after: LogPosition | None
    told: frozenset[int]


@dataclass
class Truth:
    """What became of the messages of the room.

    Attributes:
        logged: messages that the log has, or had, at each position: a log that was rolled back gives one again.
        kept: all messages that the log has had.
        passed_by: messages that went past the log, though it may have them.
        fallbacks: messages that were delivered without a position.
    """

    logged: dict[tuple[str, int], set[int]] = field(default_factory=dict)
    kept: set[int] = field(default_factory=set)
    passed_by: set[int] = field(default_factory=set)
    fallbacks: list[Fallback] = field(default_factory=list)

    def messages_up_to(self, position: LogPosition) -> set[int]:
        """Return the messages that were ever kept in an epoch up to a position."""
        return set[int]().union(
            *(
                messages
                for (epoch, offset), messages in self.logged.items()
                if epoch == position.epoch and offset <= position.offset
            )
        )


class RoomFrame(NamedTuple):
    """What a client is told about its room."""

    at: LogPosition | None
    recovered: bool | None


@dataclass(eq=False)
class ModelClient:
    """A client of the newest kind: it remembers its position.

    Attributes:
        truth: what it is compared with.
        start: the position from which on it has a right to everything, until it is told another one.
        heard: the messages since then.
        known: all messages that it has heard, and those before its positions: it has no right to them any more.
        frames: sent, and not received yet.
        complaint: what it has missed, until it is told so.
    """

    truth: Truth
    position: LogPosition | None = None
    start: LogPosition | None = None
    heard: set[int] = field(default_factory=set)
    known: set[int] = field(default_factory=set)
    frames: list[RoomFrame | bytes] = field(default_factory=list)
    complaint: str = ""

    def receive(self, number: int) -> None:
        """Receive the next frames."""
        frames, self.frames = self.frames[:number], self.frames[number:]
        for frame in frames:
            if isinstance(frame, RoomFrame):
                self._take_state(frame)
            else:
                self._take_message(frame)

    def _take_state(self, frame: RoomFrame) -> None:
        if frame.recovered:
            require(not self.complaint, self.complaint)
            require(frame.at == self.position, "a client is recovered from its own position")
        else:
            self.position = self.start = frame.at
            self.complaint = ""
            self.heard.clear()
            if frame.at is not None:
                self.known |= self.truth.messages_up_to(frame.at)

    def _take_message(self, frame: bytes) -> None:
        fields = msgspec.json.decode(frame)
        message = fields["payload"]
        at = parse_position(fields["at"]) if "at" in fields else None
        if message in self.heard:
            self.complaint = f"message {message} came twice"
            # A client may roam and meet a copy again; then a loss is told, as with a message of an old epoch.
            is_placed = at is not None and self.position is not None and at.epoch == self.position.epoch
            require(not is_placed or message in self.truth.passed_by, self.complaint)
        if at is not None and self.position is not None and at.epoch > self.position.epoch:
            raise Lie(f"message {message} of a new epoch came, and nothing was told")
        if at is not None and self.position is not None and at.epoch == self.position.epoch:
            require(at.offset > self.position.offset, f"message {message} came out of order")
            for offset in range(self.position.offset + 1, at.offset):
                is_known = self.truth.logged[at.epoch, offset] <= self.known
                require(is_known, f"a message before {message} is missing, and nothing was told")
            self.position = at
        if at is not None:
            require(message in self.truth.logged[at], f"message {message} has the position of another one")
        self.heard.add(message)
        self.known.add(message)

    def check(self) -> None:
        """Complain if anything is missing, now that nothing is under way."""
        require(not self.complaint, self.complaint)
        if self.start is None:
            return
        for (epoch, offset), messages in self.truth.logged.items():
            if epoch == self.start.epoch and offset > self.start.offset:
                require(messages <= self.known, f"messages {messages - self.known} did not come, and nothing was told")
        for fallback in self.truth.fallbacks:
            self.check_fallback(self.start, fallback)

    def check_fallback(self, since: LogPosition, fallback: Fallback) -> None:
        """Complain if a message without a position is missing since a position."""
        after = fallback.after
        if after is not None and after.epoch == since.epoch and after.offset >= since.offset:
            is_there = fallback.message in self.known or fallback.message in self.truth.kept
            require(is_there, f"message {fallback.message} was delivered on another path, and nothing was told")
