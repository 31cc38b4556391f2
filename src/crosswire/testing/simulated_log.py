"""The logs of rooms on a simulated bus: one holder for all nodes, which can be cut off, hang, and lose its memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context, copy_context
from copy import deepcopy
from random import Random
from typing import TypeVar

from crosswire.cluster.log.interface import Append, AppendFailure, LogEvents, RoomLog, Tail
from crosswire.cluster.log.memory import HOLDER, new_epoch
from crosswire.cluster.log.memory_rooms import MemoryRooms
from crosswire.core.positions import LogPosition
from crosswire.errors import BusUnavailable
from crosswire.runtime import environment

T = TypeVar("T")

RECONNECT_AFTER = 0.05
"""Seconds until a node whose connection to the logs broke has another one."""
_STEP = 1e-7
"""Seconds between two requests, or two answers, that must not overtake each other."""


class SimulatedLogs:
    """The holder of the logs of all rooms, as a Redis would be, and its faults.

    Args:
        random: source of the random numbers.
        delay: returns the seconds that a request or an answer takes, at least and at most.
        publish: takes the channel of a room and a record, and sends it to all nodes that listen.
        note: takes a line for the trace.

    Attributes:
        answer_loss: probability that an append is carried out, and the node's connection breaks before the answer.
        rooms: what the holder has in its memory.
    """

    def __init__(
        self,
        random: Random,
        delay: Callable[[], tuple[float, float]],
        publish: Callable[[bytes, bytes], None],
        note: Callable[[str], None],
    ) -> None:
        self.answer_loss = 0.0
        self.rooms = MemoryRooms(new_epoch)
        self.random = random
        self._delay = delay
        self._publish = publish
        self._note = note
        self._saved = MemoryRooms(new_epoch)
        self._run = 1
        self._hangs = False
        self._cut: set[str] = set()
        self._links: list[SimulatedLog] = []

    def open(self, name: str, events: LogEvents) -> SimulatedLog:
        """Open the logs for a node."""
        link = SimulatedLog(self, name, events)
        self._links.append(link)
        return link

    def close(self, name: str) -> None:
        """Forget the connections of a node that is dead; what came from it is carried out all the same."""
        self._links = [link for link in self._links if link.name != name]

    # Faults

    def hang(self) -> None:
        """Answer nobody until :meth:`go_on` is called."""
        self._note("log: hangs")
        self._hangs = True
        self._break_links()

    def go_on(self) -> None:
        """End all faults but ``answer_loss``: all nodes reach the logs again."""
        self._note("log: goes on")
        self._hangs = False
        self._cut.clear()
        self._mend_links()

    def cut(self, name: str) -> None:
        """Let a node no more reach the logs. It still hears what they publish."""
        self._note(f"log: {name} is cut off")
        self._cut.add(name)
        self._break_links()

    def save(self) -> None:
        """Remember what the memory holds, as a Redis that writes its file."""
        self._note("log: saved")
        self._saved = deepcopy(self.rooms)

    def restart(self, *, saved: bool) -> None:
        """Die, and start again: with what was saved, or with nothing."""
        self._note(f"log: restarts {'with an older state' if saved else 'empty'}")
        self.rooms = deepcopy(self._saved) if saved else MemoryRooms(new_epoch)
        self._run += 1
        for link in self._links:
            link.break_for_a_while()

    def _break_links(self) -> None:
        for link in self._links:
            if not self.reaches(link.name):
                link.break_off()

    def _mend_links(self) -> None:
        for link in self._links:
            link.connect()

    # For its connections

    def reaches(self, name: str) -> bool:
        """Return whether a node reaches the logs."""
        return not self._hangs and name not in self._cut

    def travel_time(self) -> float:
        """Return the seconds that the next request or answer takes."""
        low, high = self._delay()
        return self.random.uniform(low, high) if high else 0.0

    def append(self, append: Append) -> Sequence[LogPosition] | None:
        """Keep messages and publish them; return their positions, None if they are refused."""
        positions, records = self.rooms.append(append, str(self._run), _now())
        self._publish_all(append.log, records)
        return positions

    def read(self, log: RoomLog, after: int, limit: int | None) -> Tail:
        """Read the messages after an offset."""
        tail, records = self.rooms.read(log, str(self._run), _now(), after, limit)
        self._publish_all(log, records)
        return tail

    def read_before(self, log: RoomLog, before: int | None, limit: int) -> Tail:
        """Read the last messages before an offset."""
        tail, records = self.rooms.read_before(log, str(self._run), _now(), before, limit)
        self._publish_all(log, records)
        return tail

    def last_positions(self, logs: Sequence[RoomLog]) -> Sequence[LogPosition | None]:
        """Return the last position of each log."""
        return [self.rooms.last_position(log, str(self._run), _now()) for log in logs]

    def _publish_all(self, log: RoomLog, records: Sequence[bytes]) -> None:
        for record in records:
            self._publish(log.channel, record)


class SimulatedLog:
    """A ``Log``: the connection of one node to :class:`SimulatedLogs`.

    Attributes:
        name: of the node.
    """

    def __init__(self, logs: SimulatedLogs, name: str, events: LogEvents) -> None:
        self._logs = logs
        self._events = events
        self._context: Context | None = None
        self._started = self._connected = False
        self._link = 0  # counts the connections
        self._unanswered: dict[int, Append] = {}
        self._appends = 0
        self._arrival = self._answer_time = 0.0
        self.name = name

    async def start(self) -> None:
        if not self._started:
            self._started, self._context = True, copy_context()
            self._connect()

    async def stop(self) -> None:
        if self._started and self._unanswered:
            await asyncio.sleep(4 * self._logs.travel_time() + 2 * _STEP)
        self._started = False
        self._break()

    def holder(self, log: RoomLog) -> str:
        return HOLDER

    def is_available(self, log: RoomLog) -> bool:
        return self._connected

    def append(self, append: Append) -> None:
        loop = asyncio.get_running_loop()
        if not self._connected:
            loop.call_soon(append.failed, AppendFailure.LOST, "the logs can't be reached")
            return
        self._appends += 1
        self._unanswered[self._appends] = append
        self._arrival = max(loop.time() + self._logs.travel_time(), self._arrival + _STEP)
        # What is under way arrives even if the node dies: so it is nobody's.
        loop.call_at(self._arrival, self._arrive, self._appends, self._link, append, context=Context())

    def announce(self, namespaces: Mapping[str, tuple[int, float]]) -> None:
        """Tell nobody: there are only nodes in a simulation."""

    async def read(self, log: RoomLog, after: int = 0, *, limit: int | None = None) -> Tail:
        return await self._ask(lambda: self._logs.read(log, after, limit))

    async def read_before(self, log: RoomLog, before: int | None, limit: int) -> Tail:
        return await self._ask(lambda: self._logs.read_before(log, before, limit))

    async def last_positions(self, logs: Sequence[RoomLog]) -> Sequence[LogPosition | None]:
        return await self._ask(lambda: self._logs.last_positions(logs))

    # Faults

    def connect(self) -> None:
        """Connect in the node's own name, if the logs can be reached."""
        self._in_node(self._connect)

    def break_off(self) -> None:
        """Break the connection: no request has an answer any more, and those under way do not arrive."""
        self._link += 1
        self._in_node(self._break)

    def break_for_a_while(self) -> None:
        """Break the connection, and make another one soon."""
        self.break_off()
        if self._context is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(RECONNECT_AFTER, self._connect, context=self._context)

    # Internals

    def _in_node(self, function: Callable[[], None]) -> None:
        if self._context is not None:
            asyncio.get_running_loop().call_soon(function, context=self._context)

    def _connect(self) -> None:
        if self._started and not self._connected and self._logs.reaches(self.name):
            self._connected = True
            self._events.holder_changed(HOLDER)

    def _break(self) -> None:
        unanswered, self._unanswered = self._unanswered, {}
        if self._connected:
            self._connected = False
            self._events.holder_changed(HOLDER)
        for append in unanswered.values():
            append.failed(AppendFailure.LOST, "the connection to the logs broke")

    def _arrive(self, number: int, link: int, append: Append) -> None:
        if link != self._link:
            return
        positions = self._logs.append(append)
        if self._logs.answer_loss and self._logs.random.random() < self._logs.answer_loss:
            self.break_for_a_while()
            return
        loop = asyncio.get_running_loop()
        self._answer_time = max(loop.time() + self._logs.travel_time(), self._answer_time + _STEP)
        assert self._context is not None
        loop.call_at(self._answer_time, self._answer, number, positions, context=self._context)

    def _answer(self, number: int, positions: Sequence[LogPosition] | None) -> None:
        append = self._unanswered.pop(number, None)
        if append is None:
            return
        if positions is None:
            append.failed(AppendFailure.REFUSED, "the message before it is not kept")
        else:
            append.kept(positions)

    async def _ask(self, question: Callable[[], T]) -> T:
        link = self._link
        self._require(link)
        await asyncio.sleep(self._logs.travel_time())
        self._require(link)
        answer = question()
        await asyncio.sleep(self._logs.travel_time())
        self._require(link)
        return answer

    def _require(self, link: int) -> None:
        if not self._connected or link != self._link:
            raise BusUnavailable("the logs of rooms can't be reached")


def _now() -> int:
    return int(environment.wall_time() * 1000)
