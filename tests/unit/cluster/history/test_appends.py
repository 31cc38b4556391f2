"""The queues of messages on their way into logs, with a log that does what it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosswire.cluster.history.append_times import AppendTimes
from crosswire.cluster.history.appends import PATIENCE, Appends
from crosswire.cluster.history.room_queue import MAX_BATCH, MAX_BATCH_BYTES, Outgoing
from crosswire.cluster.log.interface import Append, AppendFailure, RoomLog, Tail
from crosswire.cluster.log.memory_rooms import MemoryRooms
from crosswire.core.formats import EncodedMessage
from crosswire.core.log_records import unpack_record
from crosswire.core.positions import LogPosition
from crosswire.core.settled_positions import SETTLING_TIME
from crosswire.core.targets import ToRoom
from crosswire.errors import BusUnavailable
from crosswire.runtime import environment
from crosswire.testing.virtual_clock import VirtualClockLoop
from tests.support.aio import run
from tests.support.loops import on_instant_loop

pytestmark = on_instant_loop

ORIGIN = b"sender.."
ROOM = ToRoom("chat", "1")


class ScriptedLog:
    """A log in memory whose answers a test gives, or loses."""

    def __init__(self) -> None:
        self.rooms = MemoryRooms(iter([f"epoch{number:03}" for number in range(1000)]).__next__)
        self.available = True
        self.unanswered: list[Append] = []
        self.published: set[int] = set()  # numbers of the messages that it has ever published

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def holder(self, log: RoomLog) -> str:
        return "holder"

    def is_available(self, log: RoomLog) -> bool:
        return self.available

    def append(self, append: Append) -> None:
        assert self.available, "it may not be called"
        self.unanswered.append(append)

    def carry_out(self, append: Append) -> Sequence[LogPosition] | None:
        positions, records = self.rooms.append(append, "run", 0)
        self.published.update(number for record in records if (number := unpack_record(record).number))
        return positions

    def answer(self) -> None:
        """Keep the messages of the oldest append, and answer it; refuse it if the message before it is missing."""
        if not self.unanswered:
            return
        append = self.unanswered.pop(0)
        positions = self.carry_out(append)
        if positions is None:
            append.failed(AppendFailure.REFUSED, "a hole")
        else:
            append.kept(positions)

    def refuse(self) -> None:
        """Keep nothing of the oldest append."""
        if self.unanswered:
            self.unanswered.pop(0).failed(AppendFailure.REFUSED, "no memory is left")

    def break_link(self, carried_out: int = 0) -> None:
        """Lose the answers to all appends, some of which are carried out."""
        self.available = False
        lost, self.unanswered = self.unanswered, []
        for append in lost[:carried_out]:
            self.carry_out(append)
        for append in lost:
            append.failed(AppendFailure.LOST, "the link broke")

    def announce(self, namespaces: Mapping[str, tuple[int, float]]) -> None:
        raise AssertionError("appends announce nothing")

    async def read(self, log: RoomLog, after: int = 0, *, limit: int | None = None) -> Tail:
        return self.rooms.read(log, "run", 0, after, limit)[0]

    async def read_before(self, log: RoomLog, before: int | None, limit: int) -> Tail:
        raise NotImplementedError

    async def last_positions(self, logs: Sequence[RoomLog]) -> Sequence[LogPosition | None]:
        raise NotImplementedError


class Bench:
    """Appends to such a log, and what went past it."""

    def __init__(self) -> None:
        self.log = ScriptedLog()
        self.reserved = 0
        self.delivered: list[int] = []
        self.published: list[int] = []
        self.void_rooms: list[ToRoom] = []
        self.begun: list[ToRoom] = []
        self.bus_works = True
        self.has_begun = False  # whether another node has just begun an epoch
        self.sent = 0
        self.times = AppendTimes()
        self.appends = Appends(
            ORIGIN, self.log, lambda room: RoomLog(room, room.id.encode(), 1000, 60.0), self, self._release, self.times
        )

    def _release(self, size: int) -> None:
        self.reserved -= size

    def deliver(self, room: ToRoom, message: Outgoing) -> None:
        self.delivered.append(message.number)

    def publish(self, room: ToRoom, message: Outgoing) -> bool:
        if self.bus_works:
            self.published.append(message.number)
        return self.bus_works

    def ask_for_epoch(self, room: ToRoom, answer: Callable[[bool], None]) -> None:
        answer(self.has_begun)

    def void(self, room: ToRoom) -> None:
        self.void_rooms.append(room)

    def began(self, room: ToRoom) -> None:
        self.begun.append(room)

    async def batches(self) -> list[tuple[list[int], bool]]:
        """Answer all appends, now that the log works; return their messages, and whether they begin an epoch."""
        if not self.log.available:
            self.log.available = True
            self.appends.holder_changed("holder")
            await turn()
        batches: list[tuple[list[int], bool]] = []
        while self.log.unanswered:
            batches += [([each.number for each in append.messages], append.new_epoch) for append in self.log.unanswered]
            self.log.answer()
            await turn()
        return batches

    def send(self, *, waits: bool = False, id: str | None = None, body: bytes = b"body") -> Outgoing:
        self.sent += 1
        self.reserved += 10
        position = asyncio.get_running_loop().create_future() if waits else None
        now = environment.monotonic()
        message = Outgoing(self.sent, EncodedMessage(b"{}"), None, body, now, 10, id, position)
        self.appends.add(ROOM, message)
        return message

    async def kept(self) -> list[int]:
        """Return the numbers of the messages that the log has in its present epoch."""
        tail = await self.log.read(RoomLog(ROOM, b"1", 1000, 60.0))
        return [each.number for each in tail.records]


async def turn() -> None:
    """Let the end of the present turn of the event loop come, and what follows from it."""
    for _ in range(3):
        await asyncio.sleep(0)


async def test_what_is_sent_in_one_turn_is_one_append() -> None:
    bench = Bench()
    bench.send()
    bench.send()
    await turn()

    assert [[each.number for each in append.messages] for append in bench.log.unanswered] == [[1, 2]]
    bench.log.answer()
    assert await bench.kept() == [1, 2]
    assert bench.reserved == bench.appends.pending == 0
    assert bench.appends.appended == 2


async def test_what_is_sent_while_an_append_has_no_answer_is_the_next_one() -> None:
    bench = Bench()
    for _ in range(3):
        bench.send()
        await turn()

    assert [[each.number for each in append.messages] for append in bench.log.unanswered] == [[1]]
    bench.log.answer()
    await turn()
    assert [[each.number for each in append.messages] for append in bench.log.unanswered] == [[2, 3]]
    assert [append.previous for append in bench.log.unanswered] == [0]
    bench.log.answer()
    assert await bench.kept() == [1, 2, 3]
    assert bench.reserved == bench.appends.pending == 0


async def test_much_that_is_sent_at_once_is_appended_in_several_batches() -> None:
    bench = Bench()
    for _ in range(2 * MAX_BATCH + 1):
        bench.send()
    await turn()

    sizes: list[int] = []
    while bench.log.unanswered:
        sizes += (len(append.messages) for append in bench.log.unanswered)
        bench.log.answer()
        await turn()
    assert sizes == [MAX_BATCH, MAX_BATCH, 1]
    assert await bench.kept() == list(range(1, 2 * MAX_BATCH + 2))


async def test_what_waited_for_a_log_is_appended_in_batches_of_a_limited_size() -> None:
    bench = Bench()
    bench.bus_works = bench.log.available = False
    for body in (bytes(MAX_BATCH_BYTES + 1), bytes(MAX_BATCH_BYTES - 1), b"1", b"2"):
        bench.send(body=body)
    await asyncio.sleep(2 * PATIENCE)
    bench.log.available = True
    bench.appends.holder_changed("holder")
    await turn()

    batches: list[tuple[list[int], bool]] = []
    while bench.log.unanswered:
        batches += [([each.number for each in append.messages], append.new_epoch) for append in bench.log.unanswered]
        bench.log.answer()
        await turn()
    assert batches == [([1], True), ([2, 3], False), ([4], False)]
    assert await bench.kept() == [1, 2, 3, 4]
    assert bench.reserved == bench.appends.pending == 0


async def test_a_loss_between_messages_of_one_turn_begins_an_epoch_where_it_is() -> None:
    bench = Bench()
    for is_lost in (False, False, True, False, True):
        if is_lost:
            bench.appends.note_lost(ROOM)
        else:
            bench.send()
    await turn()

    assert await bench.batches() == [([1, 2], True), ([3], True), ([], True)]
    assert bench.reserved == bench.appends.pending == 0


async def test_a_loss_begins_an_epoch_though_one_has_just_begun() -> None:
    bench = Bench()
    bench.has_begun = True  # as by an earlier loss: its beginning says nothing of this one
    bench.appends.note_lost(ROOM)
    bench.send()
    await turn()
    assert [append.new_epoch for append in bench.log.unanswered] == [True]
    bench.log.answer()


async def test_a_loss_behind_messages_that_are_appended_again_begins_an_epoch_behind_them() -> None:
    for is_followed in (False, True):
        bench = Bench()
        bench.send()
        await turn()
        bench.appends.note_lost(ROOM)
        if is_followed:
            bench.send()
        bench.log.break_link()
        if not is_followed:
            bench.send()
        assert await bench.batches() == [([1], True), ([2], True)]


async def test_a_loss_in_front_of_a_message_that_is_withdrawn_is_told_where_it_was() -> None:
    for is_followed in (False, True):
        bench = Bench()
        bench.log.available = False
        bench.send()
        bench.appends.note_lost(ROOM)
        message = bench.send(waits=True)
        if is_followed:
            bench.send()
        assert message.position is not None
        message.position.cancel()
        bench.appends.withdraw(ROOM, message)
        if not is_followed:
            bench.send()
        assert await bench.batches() == [([1], True), ([3], True)]


async def test_who_waits_for_a_message_gets_its_position() -> None:
    bench = Bench()
    message = bench.send(waits=True, id="x")
    await turn()
    bench.log.answer()
    assert message.position is not None
    assert await message.position == LogPosition("epoch000", 1)


async def test_what_is_lost_is_appended_again_in_order_once_all_have_failed() -> None:
    bench = Bench()
    for _ in range(3):
        bench.send()
        await turn()
    bench.log.break_link(carried_out=1)
    bench.send()
    await turn()
    assert bench.log.unanswered == []

    bench.log.available = True
    bench.appends.holder_changed("holder")
    await turn()
    assert [[each.number for each in append.messages] for append in bench.log.unanswered] == [[1, 2, 3, 4]]
    bench.log.answer()

    assert await bench.kept() == [1, 2, 3, 4]
    assert bench.delivered == bench.published == []
    assert bench.void_rooms == []


async def test_messages_wait_for_a_log_and_then_go_past_it() -> None:
    bench = Bench()
    bench.log.available = False
    bench.send()
    await asyncio.sleep(PATIENCE / 2)
    assert bench.published == []

    await asyncio.sleep(PATIENCE)
    assert bench.delivered == bench.published == [1]
    assert bench.void_rooms == [ROOM]
    assert bench.reserved == 0

    bench.send()  # nobody waits a second time
    await turn()
    await turn()
    assert bench.published == [1, 2]
    assert bench.void_rooms == [ROOM]

    bench.log.available = True
    bench.appends.holder_changed("holder")
    await turn()
    (append,) = bench.log.unanswered
    assert (append.messages, append.new_epoch, append.settling) == ([], True, SETTLING_TIME)
    bench.log.answer()
    assert bench.begun == [ROOM]
    assert bench.appends.pending == 0


async def test_without_another_path_messages_are_heard_here_and_kept_for_the_log() -> None:
    bench = Bench()
    bench.log.available = bench.bus_works = False
    bench.send()
    bench.send()
    await asyncio.sleep(5 * PATIENCE)
    assert bench.delivered == [1, 2]
    assert bench.appends.pending == 2

    bench.log.available = True
    bench.appends.holder_changed("holder")
    await turn()
    (append,) = bench.log.unanswered
    assert (append.new_epoch, append.settling) == (True, SETTLING_TIME)
    bench.log.answer()

    assert await bench.kept() == [1, 2]
    assert bench.delivered == [1, 2]
    assert bench.begun == [ROOM]


async def test_what_was_kept_for_the_log_goes_over_the_bus_if_that_works_first() -> None:
    bench = Bench()
    bench.log.available = bench.bus_works = False
    bench.send()
    await asyncio.sleep(2 * PATIENCE)
    assert (bench.delivered, bench.published) == ([1], [])

    bench.bus_works = True
    await asyncio.sleep(PATIENCE)
    assert (bench.delivered, bench.published) == ([1], [1])
    assert bench.reserved == 0
    await drop_epoch(bench)


async def drop_epoch(bench: Bench) -> None:
    """Let the log come back, and a new epoch begin."""
    bench.log.available = True
    bench.appends.holder_changed("holder")
    await turn()
    while bench.log.unanswered:
        bench.log.answer()
        await turn()


async def test_a_message_whose_sender_waits_does_not_go_past_the_log() -> None:
    bench = Bench()
    bench.log.available = False
    waiting = bench.send(waits=True, id="x")
    bench.send()
    await asyncio.sleep(3 * PATIENCE)
    assert bench.published == [2]

    await drop_epoch(bench)
    assert waiting.position is not None
    assert (await waiting.position).offset == 1
    assert bench.reserved == 0


async def test_what_is_refused_goes_past_the_log_and_its_sender_is_told() -> None:
    bench = Bench()
    bench.send()
    waiting = bench.send(waits=True)
    bench.send()
    await turn()
    bench.log.refuse()

    assert bench.published == [1, 3]
    assert waiting.position is not None
    with pytest.raises(BusUnavailable, match="nobody has got it"):
        await waiting.position
    await asyncio.sleep(PATIENCE)
    (append,) = bench.log.unanswered
    assert append.new_epoch
    await drop_epoch(bench)
    assert bench.reserved == 0


async def test_an_epoch_that_is_lost_is_begun_again() -> None:
    bench = Bench()
    bench.appends.note_void(ROOM)
    await turn()
    bench.log.break_link()
    await drop_epoch(bench)
    assert bench.begun == [ROOM]
    assert bench.void_rooms == [ROOM]


async def test_a_message_that_is_withdrawn_is_not_appended() -> None:
    bench = Bench()
    bench.log.available = False
    message = bench.send(waits=True)
    await turn()
    bench.appends.withdraw(ROOM, message)
    assert bench.reserved == bench.appends.pending == 0
    assert message.position is not None
    message.position.cancel()


async def test_a_stop_waits_until_everything_is_kept() -> None:
    bench = Bench()
    bench.send()
    finishing = asyncio.ensure_future(bench.appends.finish(5))
    await turn()
    assert not finishing.done()
    bench.log.answer()
    await finishing
    bench.appends.close()
    assert bench.appends.dropped == 0
    assert bench.published == []


async def test_a_stop_sends_past_the_log_what_is_not_kept_in_time() -> None:
    bench = Bench()
    bench.send()
    waiting = bench.send(waits=True)
    await bench.appends.finish(0.5)
    bench.log.break_link()
    bench.appends.close()
    assert bench.appends.dropped == 0
    assert bench.published == [1]
    assert waiting.position is not None
    with pytest.raises(BusUnavailable, match="perhaps"):
        await waiting.position


async def test_a_stop_counts_what_can_be_sent_nowhere() -> None:
    bench = Bench()
    bench.log.available = bench.bus_works = False
    bench.send()
    await bench.appends.finish(0.5)
    bench.appends.close()
    assert bench.appends.dropped == 1


async def test_what_is_sent_after_the_stop_goes_past_the_log_or_is_counted_and_its_sender_is_told_at_once() -> None:
    bench = Bench()
    bench.appends.close()
    bench.send()
    bench.bus_works = False
    bench.send()
    waiting = bench.send(waits=True)
    assert (bench.published, bench.delivered, bench.appends.dropped) == ([1], [1, 2], 1)
    assert waiting.position is not None
    with pytest.raises(BusUnavailable, match="nobody has got it"):
        await waiting.position


async def test_after_a_change_of_the_holders_an_epoch_is_unsettled() -> None:
    bench = Bench()
    bench.appends.logs_moved()
    bench.send()
    await turn()
    bench.log.answer()
    bench.appends.begin_epoch(ROOM)
    await turn()
    (append,) = bench.log.unanswered
    assert append.settling == SETTLING_TIME
    bench.log.answer()
    await asyncio.sleep(20)
    bench.send()
    await turn()
    assert bench.log.unanswered[0].settling == 0
    bench.log.answer()


async def test_an_epoch_that_another_node_has_just_begun_serves_this_one_too() -> None:
    bench = Bench()
    bench.log.available = False
    bench.send()
    await asyncio.sleep(2 * PATIENCE)
    bench.has_begun = True
    bench.log.available = True
    bench.send()
    bench.appends.holder_changed("holder")
    await asyncio.sleep(1)
    (append,) = bench.log.unanswered
    assert not append.new_epoch
    assert bench.begun == [ROOM]
    bench.log.answer()
    assert bench.appends.pending == 0


def step_functions(bench: Bench) -> dict[str, Callable[[], object]]:
    """Return what can happen to a queue, by name."""
    log = bench.log

    def mend() -> None:
        log.available = True
        bench.appends.holder_changed("holder")

    return {
        "send": bench.send,
        "answer": log.answer,
        "refuse": log.refuse,
        "break": log.break_link,
        "break late": lambda: log.break_link(carried_out=len(log.unanswered)),
        "mend": mend,
        "bus off": lambda: setattr(bench, "bus_works", False),
        "bus on": lambda: setattr(bench, "bus_works", True),
        "wait": lambda: None,
    }


async def carry_on(bench: Bench) -> None:
    """Let everything work again, until nothing waits."""
    bench.log.available = bench.bus_works = True
    for _ in range(20):
        bench.appends.holder_changed("holder")
        await asyncio.sleep(PATIENCE)
        while bench.log.unanswered:
            bench.log.answer()
            await turn()


async def take_steps(steps: Sequence[str]) -> Bench:
    """Let things happen to a queue, and carry on until all messages have left it."""
    bench = Bench()
    functions = step_functions(bench)
    for step in steps:
        functions[step]()
        await asyncio.sleep(PATIENCE if step == "wait" else 0)
    await carry_on(bench)
    return bench


STEPS = st.sampled_from(["send", "answer", "refuse", "break", "break late", "mend", "bus off", "bus on", "wait"])


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=40))
def test_each_message_is_kept_or_goes_past_the_log_in_the_order_of_its_sender(steps: list[str]) -> None:
    bench = run(take_steps(steps), VirtualClockLoop)

    kept = [each.number for room in bench.log.rooms._rooms.values() for each in room.kept]
    assert bench.reserved == bench.appends.pending == 0
    assert kept == sorted(set(kept))
    assert bench.published == sorted(set(bench.published))
    assert bench.delivered == sorted(set(bench.delivered))
    assert bench.log.published | set(bench.published) == set(range(1, bench.sent + 1))
    assert bool(bench.delivered) <= bool(bench.void_rooms) == bool(bench.begun)
