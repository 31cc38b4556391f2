"""A client's table against a model of a server: what the application was told is true, whatever happened."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from crosswire.client.room_table import RoomTable
from crosswire.core.messages import RoomPosition
from crosswire.core.positions import parse_position

ROOMS = ("1", "2", "3")
KEPT = 4
"""Messages that the model's log keeps."""


class Log:
    """A room: all that was said since its epoch began, of which the last can be recovered."""

    def __init__(self, epoch: int) -> None:
        self.epoch = f"{epoch:08d}"
        self.said: list[int] = []

    def at(self, offset: int) -> str:
        return f"{self.epoch}.{offset}"


class Roaming(RuleBasedStateMachine):
    """A client that joins rooms, loses its connection, comes back, and may be told nothing but the truth."""

    def __init__(self) -> None:
        super().__init__()
        self.table = RoomTable()
        self.numbers = 0
        self.epochs = 0
        self.logs = {room: self._new_log() for room in ROOMS}
        self.owed: dict[str, list[int]] = {}  # what was said since the application was told that all is well
        self.heard: dict[str, list[int]] = {room: [] for room in ROOMS}
        self.joined: set[str] = set()
        self.placed: set[str] = set()  # those of them in which it has a position
        self.known: set[str] = set()  # rooms that it was in before, and was not taken out of
        self.offered: dict[str, int] = {}

    def _new_log(self) -> Log:
        self.epochs += 1
        return Log(self.epochs)

    def _deliver(self, room: str, number: int, at: str) -> None:
        if self.table.move(at):
            self.heard[room].append(number)

    def _tell(self, room: str, at: str | None, recovered: bool | None, reason: str | None) -> None:
        (self.placed.discard if at is None else self.placed.add)(room)
        state = self.table.change(RoomPosition(("chat", room), at, recovered, reason))
        if state.recovered is None:
            assert room not in self.known, "a room that it was in counts as new"
        if state.recovered is not True:
            self.owed[room], self.heard[room] = [], []
        assert (state.recovered is False) == (state.reason is not None)
        self.known.add(room)

    @rule(room=st.sampled_from(ROOMS), doubled=st.booleans())
    def say(self, room: str, doubled: bool) -> None:
        log = self.logs[room]
        self.numbers += 1
        log.said.append(self.numbers)
        if room in self.owed:
            self.owed[room].append(self.numbers)
        if room in self.placed:
            for _ in range(1 + doubled):
                self._deliver(room, self.numbers, log.at(len(log.said)))
        elif room in self.joined:
            self.heard[room].append(self.numbers)  # without a position, while the log can't be reached

    @rule(room=st.sampled_from(ROOMS))
    def join(self, room: str) -> None:
        if room in self.joined:
            return
        log = self.logs[room]
        last = len(log.said)
        offset = self.offered.pop(log.epoch, None)
        self.joined.add(room)
        if offset is None:
            self._tell(room, log.at(last), None, None)
        elif last - offset > KEPT:
            self._tell(room, log.at(last), False, "trimmed")
        else:
            self._tell(room, log.at(offset), True, None)
            for each in range(offset + 1, last + 1):
                self._deliver(room, log.said[each - 1], log.at(each))

    @rule(room=st.sampled_from(ROOMS))
    def join_without_log(self, room: str) -> None:
        if room not in self.joined:
            offered = bool(self.offered)
            self.offered.pop(self.logs[room].epoch, None)
            self.joined.add(room)
            self._tell(room, None, False if offered else None, "unavailable" if offered else None)

    @rule(room=st.sampled_from(ROOMS))
    def leave(self, room: str) -> None:
        if room in self.joined:
            self.joined.discard(room)
            self.placed.discard(room)
            self.known.discard(room)
            self.owed.pop(room, None)
            self.table.forget(("chat", room))

    @rule(room=st.sampled_from(ROOMS))
    def begin_epoch(self, room: str) -> None:
        self.logs[room] = self._new_log()
        if room in self.joined:
            self._tell(room, self.logs[room].at(0), False, "epoch")

    @rule()
    def come_back(self) -> None:
        self.joined.clear()
        self.placed.clear()
        positions = [parse_position(text) for text in self.table.offer().split(",") if text]
        self.offered = {position.epoch: position.offset for position in positions if position is not None}

    @invariant()
    def all_that_was_said_was_heard_once_and_in_order(self) -> None:
        for room, owed in self.owed.items():
            heard = self.heard[room]
            assert heard == (owed if room in self.joined else owed[: len(heard)])


TestRoaming = Roaming.TestCase
TestRoaming.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
