"""Pure functions that find what clients of rooms with history missed, heard twice or out of order, and false answers.

A client is told of a room by ``RoomState``. Between two arrivals nothing may be missing, unless it was told
``recovered: false`` in between, or soon after messages without a position.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from math import inf
from typing import NamedTuple

Place = tuple[str, int]
"""Epoch and offset of a position."""


class Heard(NamedTuple):
    """A message that a client's handler got: stream, number, and its position, None if it had none."""

    at: float
    stream: int
    number: int
    position: Place | None


class Told(NamedTuple):
    """What ``on_room`` got, with the position that the server sent, None if the log could not be reached."""

    at: float
    recovered: bool | None
    reason: str | None
    position: Place | None


class Ended(NamedTuple):
    """The end of a client's connection."""

    at: float


Event = Heard | Told | Ended


class Finding:
    """Result of the check of one room at one client.

    Attributes:
        heard: messages that came, each counted once.
        missing: messages that never came although the client was told of no loss, as pairs of stream and number.
        lies: answers that are not true, in words.
        twice: messages that came again, with no loss told in between, or on the same connection.
        again: messages that came again on another connection, after the client was told that messages may be missing.
        reordered: messages that came after a later one of their stream or of their log.
        unknown: messages that nobody published.
        recovered: how often the client was told that it has everything.
        broken: how often it was told that messages may be missing, by reason.
    """

    def __init__(self) -> None:
        self.heard = 0
        self.missing: set[tuple[int, int]] = set()
        self.lies: list[str] = []
        self.twice = self.again = self.reordered = self.unknown = self.recovered = 0
        self.broken: Counter[str] = Counter()


def examine(
    published: Mapping[int, Sequence[float]], events: Iterable[Event], died: Container[tuple[int, int]] = ()
) -> Finding:
    """Check what one client heard in one room.

    Args:
        published: when each message of each stream of the room was said; they are numbered from 0.
        events: of the client in this room, in their order.
        died: messages that died with the node that said them, as pairs of stream and number.
    """
    walk = _Walk(published, died)
    for event in events:
        walk.take(event)
    walk.end()
    return walk.finding


class _Walk:
    """A client's state after some of its events.

    Messages without a position come when the log can't be reached, and messages of an epoch that is over when it begins
    another. What is missing from then on, until the client is told of a loss, is doubtful: it must be told. So it is if
    the client was told that the log can't be reached: it has no position then.
    """

    def __init__(self, published: Mapping[int, Sequence[float]], died: Container[tuple[int, int]]) -> None:
        self.finding = Finding()
        self._published = published
        self._died = died
        self._position: Place | None = None
        self._is_told = False  # whether it was told anything in this room
        self._is_connected = True
        self._is_loose = False  # whether a message without a position, or of another epoch, came since the last break
        self._other_epoch: Place | None = None  # position of the last message of another epoch since the last break
        self._doubtful: set[tuple[int, int]] = set()
        self._broken_at = -inf  # when the last loss was told
        self._heard: set[tuple[int, int]] = set()
        self._on_connection: set[tuple[int, int]] = set()
        self._since_break: set[tuple[int, int]] = set()
        self._latest: dict[int, int] = {}  # by stream
        self._latest_since_break: dict[int, int] = {}

    def take(self, event: Event) -> None:
        if isinstance(event, Heard):
            self._hear(event)
        elif isinstance(event, Told):
            self._take_answer(event)
        else:
            self._is_connected = False
            self._on_connection.clear()

    def end(self) -> None:
        """Look for messages that never came: the client was in the room to the end."""
        for stream, times in self._published.items():
            self._look_for_missing(stream, len(times))
        self.finding.missing |= self._doubtful
        if self._doubtful:
            self.finding.lies.append(f"it was never told that {_shown(self._doubtful)} may be missing")
        if self._other_epoch is not None:
            self.finding.lies.append(f"it was never told of another epoch: {self._other_epoch} after {self._position}")
        if self.finding.missing - self._doubtful:
            self.finding.lies.append(f"it was told nothing of {_shown(self.finding.missing - self._doubtful)}")

    # Messages

    def _hear(self, event: Heard) -> None:
        finding, key = self.finding, (event.stream, event.number)
        if not 0 <= event.number < len(self._published.get(event.stream, ())):
            finding.unknown += 1
            return
        if not self._is_told or not self._is_connected:
            finding.lies.append(f"it heard {key} before it was told that it is in the room")
        self._note_epoch(event.position)
        if key in self._since_break or key in self._on_connection:
            finding.twice += 1
        elif key in self._heard:
            finding.again += 1
            self._note(event)
        else:
            finding.heard += 1
            is_late = self._is_late(event)
            finding.reordered += is_late
            if not is_late:
                self._look_for_missing(event.stream, event.number)
            self._note(event)
        self._move(event)

    def _is_late(self, event: Heard) -> bool:
        """Whether a message comes after a later one, by its number or by its offset."""
        if event.number < self._latest_since_break.get(event.stream, -1):
            return True
        position, before = event.position, self._position
        return position is not None and before is not None and position[0] == before[0] and position[1] <= before[1]

    def _note(self, event: Heard) -> None:
        key = event.stream, event.number
        for heard in (self._heard, self._on_connection, self._since_break):
            heard.add(key)
        self.finding.missing.discard(key)
        self._doubtful.discard(key)
        for latest in (self._latest, self._latest_since_break):
            latest[event.stream] = max(latest.get(event.stream, -1), event.number)

    def _look_for_missing(self, stream: int, end: int) -> None:
        """Take note of messages before ``end`` that did not come; a loss that was told covers what was said before."""
        since_break = self._latest_since_break.get(stream)
        first = self._latest.get(stream, -1) + 1 if since_break is None else since_break + 1
        for number in range(first, end):
            key = stream, number
            is_covered = since_break is None and self._published[stream][number] < self._broken_at
            if not is_covered and key not in self._heard and key not in self._died:
                (self._doubtful if self._is_loose else self.finding.missing).add(key)

    def _note_epoch(self, position: Place | None) -> None:
        """Take note of a message that is not of the client's epoch: a client does not move on with it."""
        before = self._position
        if position is not None and before is not None and position[0] != before[0]:
            self._other_epoch = position
        self._is_loose |= position is None or self._other_epoch is not None

    def _move(self, event: Heard) -> None:
        """Move on to the position of a message, unless it is of another epoch."""
        position, before = event.position, self._position
        if position is None or before is None or position[0] != before[0]:
            return
        if position[1] > before[1] + 1:
            self.finding.lies.append(f"{position} came after {before}, and it was told nothing")
        if position[1] > before[1]:
            self._position = position

    # Answers

    def _take_answer(self, event: Told) -> None:
        is_first, self._is_told, self._is_connected = not self._is_told, True, True
        if event.recovered:
            self._recover(event)
            return
        if event.recovered is None and not is_first:
            self.finding.lies.append("it was told that it is in the room for the first time, and it was there before")
        if event.recovered is False:
            self.finding.broken[str(event.reason)] += 1
        self._position = event.position
        self._broken_at = event.at
        self._is_loose = event.position is None
        self._other_epoch = None
        self._doubtful.clear()
        self._since_break.clear()
        self._latest_since_break.clear()

    def _recover(self, event: Told) -> None:
        self.finding.recovered += 1
        position, before = event.position, self._position
        if position is None or before is None or position[0] != before[0] or position[1] > before[1]:
            self.finding.lies.append(f"it was recovered from {position}, and it had come to {before}")
        if self._doubtful:
            self.finding.lies.append(f"it was recovered, and {_shown(self._doubtful)} is missing")
            self.finding.missing |= self._doubtful
            self._doubtful.clear()
        if self._other_epoch is not None:
            self.finding.lies.append(f"it was recovered from {position}, and it had heard {self._other_epoch}")
            self._other_epoch = None


def heard_by_anybody(events: Iterable[Iterable[Event]]) -> set[tuple[int, int]]:
    """Return all messages that reached a client, as pairs of stream and number."""
    return {(each.stream, each.number) for some in events for each in some if isinstance(each, Heard)}


def lie_about_forgotten(events: Iterable[Event], began: float, back_at: float) -> str | None:
    """Return what is wrong with what a client was told of a room whose log was lost; None if nothing is.

    Args:
        events: of the client in the room, in their order.
        began: when what was done to the log began.
        back_at: when clients that were away meanwhile began to come back. One of them may have come back and been
            recovered before, in the moment in which it lost its network.
    """
    answers = [each for each in events if isinstance(each, Told) and each.at >= began]
    if all(each.recovered is not False for each in answers):
        return "it was never told that the log is lost"
    back = [each for each in answers if each.at >= back_at]
    return "it was recovered, and the log is lost" if back and back[0].recovered is not False else None


def two_messages_at_one_place(events: Iterable[Iterable[Event]]) -> list[Place]:
    """Return the positions with which clients heard different messages."""
    at: dict[Place, set[tuple[int, int]]] = defaultdict(set)
    for some in events:
        for each in some:
            if isinstance(each, Heard) and each.position is not None:
                at[each.position].add((each.stream, each.number))
    return sorted(place for place, messages in at.items() if len(messages) > 1)


def _shown(messages: set[tuple[int, int]]) -> str:
    first = ", ".join(map(str, sorted(messages)[:3]))
    return first if len(messages) <= 3 else f"{first} and {len(messages) - 3} more"
