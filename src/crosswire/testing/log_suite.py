"""The contract of logs as tests, each of which states one sentence of ``crosswire.cluster.log.interface``.

To test the log of a bus, define how to make the bus::

    class TestMyLog(LogContract):
        @asynccontextmanager
        async def bus(self):
            yield MyBus()

Each test uses rooms of its own, so one server may serve all tests. It needs pytest, from the extra
``crosswire[testing]``.
"""

# ruff: noqa: D102 - the name of a test is its sentence

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from crosswire.cluster.interface import Bus
from crosswire.cluster.log.interface import AppendFailure, NewMessage
from crosswire.core.positions import LogPosition, parse_position
from crosswire.errors import BusUnavailable
from crosswire.runtime import environment, loops
from crosswire.testing.log_member import AppendFailed, LogMember
from crosswire.testing.recording import eventually

_BYTES = bytes(range(256))


class LogContract(ABC):
    """The contract of a log: inherit from it and define :meth:`bus`, and pytest runs it against your log."""

    @abstractmethod
    def bus(self) -> AbstractAsyncContextManager[Bus]:
        """Make a bus, for one test and on its event loop."""

    def run(self, test: Coroutine[Any, Any, None]) -> None:
        """Run a test to its end; override it to use another event loop, or to check more."""
        loops.run(test)

    def run_with_members(self, script: Callable[..., Awaitable[None]], count: int = 2) -> None:
        """Run ``script(*members)`` with members of one bus, which have started."""

        async def main() -> None:
            async with self.bus() as bus:
                members = [LogMember(bus, f"node {number}") for number in range(count)]
                try:
                    for member in members:
                        await member.start()
                    await script(*members)
                finally:
                    for member in members:
                        await member.stop()

        self.run(main())

    # Appending

    def test_offsets_count_from_one_within_an_epoch(self) -> None:
        async def script(a: LogMember, b: LogMember) -> None:
            room = a.room(_fresh())
            (first,) = await a.append(room, b"1")
            second, third = await b.append(room, b"2", b"3")
            assert [first.offset, second.offset, third.offset] == [1, 2, 3]
            assert first.epoch == second.epoch == third.epoch
            assert parse_position(str(first)) == first

        self.run_with_members(script)

    def test_every_room_has_an_epoch_of_its_own(self) -> None:
        async def script(a: LogMember) -> None:
            positions = [(await a.append(a.room(_fresh()), b"x"))[0] for _ in range(20)]
            assert len({position.epoch for position in positions}) == 20

        self.run_with_members(script, count=1)

    def test_records_come_to_all_that_listen_the_sender_too_in_one_order(self) -> None:
        async def script(a: LogMember, b: LogMember, c: LogMember) -> None:
            room = a.room(_fresh())
            for member in (a, b, c):
                await member.listen(room)
            for number in range(50):
                a.begin(room, a.message(b"a%d" % number))
                b.begin(room, b.message(b"b%d" % number))
            for member in (a, b, c):
                await eventually(lambda member=member: len(member.heard(room)) == 100, "all arrive")  # type: ignore[misc]
            assert a.heard(room) == b.heard(room) == c.heard(room)
            for letter in (b"a", b"b"):
                mine = [body for body in c.heard(room) if body.startswith(letter)]
                assert mine == [letter + b"%d" % number for number in range(50)]
            offsets = [record.offset for record in c.received[room.channel]]
            assert offsets == list(range(101))  # 0 says that the epoch begins

        self.run_with_members(script, count=3)

    def test_a_record_says_who_sent_it_and_where_it_stands(self) -> None:
        async def script(a: LogMember, b: LogMember) -> None:
            room = a.room(_fresh())
            await b.listen(room)
            message = a.message(_BYTES)
            (position,) = await a.append(room, message)
            await b.hears(room, _BYTES)
            begin, record = b.received[room.channel]
            assert (begin.epoch, begin.offset, begin.body) == (position.epoch, 0, b"")
            assert (record.epoch, record.offset) == position
            assert (record.origin, record.number) == (a.origin, message.number)
            (kept,) = (await b.log.read(room)).records
            assert kept == record

        self.run_with_members(script)

    @pytest.mark.parametrize("size", [0, 1, 1000, 1_000_000])
    def test_bodies_of_any_size_are_kept_whole(self, size: int) -> None:
        async def script(a: LogMember, b: LogMember) -> None:
            room = a.room(_fresh())
            await b.listen(room)
            body = (_BYTES * (size // 256 + 1))[:size]
            await a.append(room, body, b"end")
            await b.hears(room, body, b"end")
            assert await b.bodies(room) == [body, b"end"]

        self.run_with_members(script)

    @pytest.mark.parametrize("id", ["{x}", "}{", "a:b c\r\n", "ü", "x" * 1000, "0"])
    def test_rooms_and_ids_may_have_any_name(self, id: str) -> None:
        async def script(a: LogMember, b: LogMember) -> None:
            room, other = a.room(_fresh() + id), a.room(_fresh() + id + id)
            first, second = await a.append(room, a.message(b"1", id), a.message(b"2", id + id))
            assert await b.append(room, b.message(b"3", id)) == [first]
            assert (await b.append(other, b.message(b"4", id)))[0].epoch != first.epoch
            assert second.offset == 2
            assert await b.bodies(room) == [b"1", b"2"]

        self.run_with_members(script)

    def test_the_largest_number_and_origins_of_any_bytes_are_kept(self) -> None:
        async def script(a: LogMember) -> None:
            room = a.room(_fresh())
            number = 2**53 - 1
            for origin in (bytes(8), b"\r\n\r\n\r\n\r\n", b"\xff" * 8):
                await a.begin(room, NewMessage(number, b"x"), origin=origin)
            records = (await a.log.read(room)).records
            assert [record.number for record in records] == [number] * 3
            assert [record.origin for record in records] == [bytes(8), b"\r\n\r\n\r\n\r\n", b"\xff" * 8]

        self.run_with_members(script, count=1)

    # Messages that come again

    def test_a_number_that_was_kept_is_not_kept_again(self) -> None:
        async def script(a: LogMember, b: LogMember) -> None:
            room = a.room(_fresh())
            await b.listen(room)
            one, two = a.message(b"1"), a.message(b"2")
            kept = await a.append(room, one, two)
            assert await a.append(room, one) == [kept[1]]
            again = await a.append(room, one, two, a.message(b"3"))
            assert [position.offset for position in again] == [2, 2, 3]
            await b.hears(room, b"1", b"2", b"3")
            assert await b.bodies(room) == [b"1", b"2", b"3"]

        self.run_with_members(script)

    def test_the_same_numbers_of_other_senders_and_in_other_rooms_are_kept(self) -> None:
        async def script(a: LogMember, b: LogMember) -> None:
            room, other = a.room(_fresh()), a.room(_fresh())
            await a.append(room, NewMessage(5, b"1"))
            await b.append(room, NewMessage(5, b"2"))
            await a.append(other, NewMessage(5, b"3"))
            assert await a.bodies(room) == [b"1", b"2"]
            assert await a.bodies(other) == [b"3"]

        self.run_with_members(script)

    def test_a_second_message_with_an_id_is_not_kept_whoever_sends_it(self) -> None:
        async def script(a: LogMember, b: LogMember) -> None:
            room = a.room(_fresh())
            await b.listen(room)
            first, second = await a.append(room, a.message(b"1", "order"), a.message(b"2"))
            assert await b.append(room, b.message(b"again", "order"), b.message(b"3")) == [
                first,
                LogPosition(first.epoch, 3),
            ]
            assert second.offset == 2
            await b.hears(room, b"1", b"2", b"3")

        self.run_with_members(script)

    def test_an_id_twice_in_one_append_keeps_the_first_message(self) -> None:
        async def script(a: LogMember) -> None:
            room = a.room(_fresh())
            first, second, third = await a.append(room, a.message(b"1", "x"), a.message(b"2", "x"), a.message(b"3"))
            assert (first.offset, second.offset, third.offset) == (1, 1, 2)
            assert await a.bodies(room) == [b"1", b"3"]

        self.run_with_members(script, count=1)

    def test_a_message_that_its_id_keeps_out_does_not_keep_out_the_next(self) -> None:
        async def script(a: LogMember, b: LogMember) -> None:
            room = a.room(_fresh())
            await a.append(room, a.message(b"1", "x"))
            twin = b.message(b"2", "x")
            await b.append(room, twin)
            await b.append(room, b.message(b"3"), previous=twin.number)
            assert await b.bodies(room) == [b"1", b"3"]

        self.run_with_members(script)

    def test_an_id_is_known_in_its_room_only_and_in_a_later_epoch_too(self) -> None:
        async def script(a: LogMember) -> None:
            room, other = a.room(_fresh()), a.room(_fresh())
            (first,) = await a.append(room, a.message(b"1", "x"))
            (elsewhere,) = await a.append(other, a.message(b"1", "x"))
            assert (elsewhere.offset, first.offset) == (1, 1)
            await a.append(room, new_epoch=True)
            assert await a.append(room, a.message(b"2", "x")) == [first]
            assert await a.bodies(room) == []

        self.run_with_members(script, count=1)

    # Order

    def test_nothing_is_kept_behind_a_message_that_is_not_kept(self) -> None:
        async def script(a: LogMember) -> None:
            room = a.room(_fresh())
            await a.append(room, a.message(b"1"))
            missing = a.next_number()
            with pytest.raises(AppendFailed) as failed:
                await a.append(room, a.message(b"3"), previous=missing)
            assert failed.value.failure is AppendFailure.REFUSED
            assert await a.bodies(room) == [b"1"]

        # A log that has sent nothing else in the room must not take the refusal for one of its own resendings.
        self.run_with_members(script, count=1)

    def test_appends_of_a_room_are_carried_out_in_their_order(self) -> None:
        async def script(a: LogMember) -> None:
            room, previous, waiting = a.room(_fresh()), 0, []
            for number in range(200):
                message = a.message(b"%d" % number)
                waiting.append(a.begin(room, message, previous=previous))
                previous = message.number
                if number % 20 == 0:
                    await asyncio.sleep(0)
            positions = [position for each in await asyncio.gather(*waiting) for position in each]
            assert [position.offset for position in positions] == list(range(1, 201))
            assert await a.bodies(room) == [b"%d" % number for number in range(100, 200)]

        self.run_with_members(script, count=1)

    # Epochs

    def test_a_new_epoch_forgets_what_was_kept_and_is_published(self) -> None:
        async def script(a: LogMember, b: LogMember) -> None:
            room = a.room(_fresh())
            await b.listen(room)
            (before,) = await a.append(room, b"1")
            (after,) = await a.append(room, b"2", new_epoch=True)
            assert after.offset == 1
            assert after.epoch != before.epoch
            assert await b.bodies(room) == [b"2"]
            await b.hears(room, b"1", b"2")
            assert [(record.epoch, record.offset) for record in b.received[room.channel]] == [
                (before.epoch, 0),
                (before.epoch, 1),
                (after.epoch, 0),
                (after.epoch, 1),
            ]

        self.run_with_members(script)

    def test_an_epoch_may_begin_without_a_message(self) -> None:
        async def script(a: LogMember, b: LogMember) -> None:
            room = a.room(_fresh())
            await b.listen(room)
            (before,) = await a.append(room, b"1")
            assert not await a.append(room, new_epoch=True)
            tail = await b.log.read(room)
            assert tail.last.offset == 0
            assert tail.last.epoch != before.epoch
            assert not tail.records
            await eventually(lambda: len(b.received[room.channel]) == 3, "the beginning is published")
            assert b.received[room.channel][-1].epoch == tail.last.epoch

        self.run_with_members(script)

    def test_numbers_of_the_epoch_before_are_not_kept_again(self) -> None:
        async def script(a: LogMember, b: LogMember) -> None:
            room = a.room(_fresh())
            one = a.message(b"1")
            await a.append(room, one)
            await b.append(room, new_epoch=True)
            await a.append(room, one)
            await a.append(room, a.message(b"2"), previous=one.number)
            assert await a.bodies(room) == [b"2"]

        self.run_with_members(script)

    def test_messages_that_began_an_epoch_begin_no_second_one_when_they_come_again(self) -> None:
        async def script(a: LogMember) -> None:
            room = a.room(_fresh())
            messages = [a.message(b"1"), a.message(b"2")]
            kept = await a.append(room, *messages, new_epoch=True)
            again = await a.append(room, *messages, new_epoch=True)
            assert again == [kept[1], kept[1]]
            assert await a.bodies(room) == [b"1", b"2"]
            more = await a.append(room, *messages, a.message(b"3"), new_epoch=True)
            assert more[-1].epoch != kept[0].epoch
            assert await a.bodies(room) == [b"3"]

        self.run_with_members(script, count=1)

    def test_positions_are_settled_unless_asked(self) -> None:
        async def script(a: LogMember) -> None:
            room = a.room(_fresh())
            await a.append(room, b"1", b"2")
            assert (await a.log.read(room)).settled == 0

        self.run_with_members(script, count=1)

    def test_positions_of_a_settling_epoch_are_good_from_the_first_message_after_the_time_on(self) -> None:
        async def script(a: LogMember) -> None:
            room = a.room(_fresh())
            await a.append(room, b"1", new_epoch=True, settling=300.0)
            await a.append(room, b"2")
            tail = await a.log.read(room)
            assert (tail.last.offset, tail.settled) == (2, 3)
            await a.append(room, b"3", new_epoch=True, settling=0.001)
            assert (await a.log.read(room)).settled == 2
            await asyncio.sleep(0.01)  # longer than it settles
            await a.append(room, b"4", b"5")
            assert (await a.log.read(room)).settled == 2
            await a.append(room, b"6")
            assert (await a.log.read(room)).settled == 2

        self.run_with_members(script, count=1)

    # Trimming

    def test_the_last_messages_are_kept_as_many_as_asked(self) -> None:
        async def script(a: LogMember) -> None:
            room = a.room(_fresh(), size=10)
            for number in range(35):
                await a.append(room, b"%d" % number)
            assert await a.bodies(room) == [b"%d" % number for number in range(25, 35)]
            await a.append(room, *[b"%d" % number for number in range(35, 60)])
            tail = await a.log.read(room)
            assert tail.last.offset == 60
            assert [record.offset for record in tail.records] == list(range(51, 61))

        self.run_with_members(script, count=1)

    def test_messages_older_than_the_time_to_live_are_not_read_but_their_offsets_remain(self) -> None:
        async def script(a: LogMember) -> None:
            room = a.room(_fresh(), ttl=0.3)
            (position,) = await a.append(room, b"1")
            await asyncio.sleep(0.6)  # longer than it lives
            tail = await a.log.read(room)
            assert tail.last == position
            assert not tail.records
            assert not (await a.log.read_before(room, None, 10)).records
            (later,) = await a.append(room, b"2")
            assert later == LogPosition(position.epoch, 2)

        self.run_with_members(script, count=1)

    # Reading

    def test_reading_gives_the_messages_after_an_offset(self) -> None:
        async def script(a: LogMember, b: LogMember) -> None:
            room = a.room(_fresh())
            positions = await a.append(room, *[b"%d" % number for number in range(1, 11)])
            assert await b.bodies(room, 7) == [b"8", b"9", b"10"]
            assert await b.bodies(room, 2, limit=3) == [b"3", b"4", b"5"]
            assert await b.bodies(room, 10) == []
            assert await b.bodies(room, 1000) == []
            assert await b.bodies(room, limit=0) == []
            tail = await b.log.read(room, 9)
            assert tail.last == positions[-1]
            assert tail.now >= tail.records[0].time

        self.run_with_members(script)

    def test_reading_backwards_gives_the_last_messages_before_an_offset_the_newest_last(self) -> None:
        async def script(a: LogMember) -> None:
            room = a.room(_fresh())
            await a.append(room, *[b"%d" % number for number in range(1, 11)])

            async def before(offset: int | None, limit: int) -> list[bytes]:
                return [record.body for record in (await a.log.read_before(room, offset, limit)).records]

            assert await before(None, 3) == [b"8", b"9", b"10"]
            assert await before(4, 10) == [b"1", b"2", b"3"]
            assert await before(11, 1) == [b"10"]
            assert await before(1, 5) == []
            assert await before(None, 0) == []

        self.run_with_members(script, count=1)

    def test_much_is_read_whole_and_in_order(self) -> None:
        async def script(a: LogMember) -> None:
            room = a.room(_fresh(), size=60)
            bodies = [b"%d " % number + bytes(50_000) for number in range(60)]
            for number in range(0, 60, 10):
                await a.append(room, *bodies[number : number + 10])
            assert await a.bodies(room) == bodies
            assert await a.bodies(room, 5, limit=50) == bodies[5:55]
            assert [record.body for record in (await a.log.read_before(room, 50, 45)).records] == bodies[4:49]

        self.run_with_members(script, count=1)

    def test_reading_a_log_that_does_not_exist_begins_it(self) -> None:
        async def script(a: LogMember, b: LogMember) -> None:
            room = a.room(_fresh())
            tail = await a.log.read(room)
            assert (tail.last.offset, tail.settled, list(tail.records)) == (0, 0, [])
            assert (await b.log.read(room)).last == tail.last
            assert await b.append(room, b"1") == [LogPosition(tail.last.epoch, 1)]

        self.run_with_members(script)

    def test_reads_together_give_each_its_own(self) -> None:
        async def script(a: LogMember) -> None:
            rooms = [a.room(_fresh()) for _ in range(100)]
            for number, room in enumerate(rooms):
                await a.append(room, b"%d" % number)
            found = await asyncio.gather(*[a.bodies(room) for room in rooms])
            assert found == [[b"%d" % number] for number in range(100)]

        self.run_with_members(script, count=1)

    def test_last_positions_of_many_logs_come_together(self) -> None:
        async def script(a: LogMember) -> None:
            rooms = [a.room(_fresh()) for _ in range(256)]
            expected: list[LogPosition | None] = []
            for number, room in enumerate(rooms):
                expected.append((await a.append(room, b"x"))[0] if number % 50 == 0 else None)
            holders: dict[str, list[int]] = {}
            for number, room in enumerate(rooms):
                holders.setdefault(a.log.holder(room), []).append(number)
            for numbers in holders.values():
                found = await a.log.last_positions([rooms[number] for number in numbers])
                assert list(found) == [expected[number] for number in numbers]

        self.run_with_members(script, count=1)

    # Life

    def test_all_members_agree_on_the_holder_of_a_log(self) -> None:
        async def script(a: LogMember, b: LogMember) -> None:
            for number in range(100):
                assert a.log.holder(a.room(f"room {number}")) == b.log.holder(b.room(f"room {number}"))

        self.run_with_members(script)

    def test_a_log_is_available_between_start_and_stop(self) -> None:
        async def script(a: LogMember, b: LogMember) -> None:
            room = a.room(_fresh())
            assert a.log.is_available(room)
            assert a.log.holder(room) in a.recorded.holders
            await a.append(room, b"1")
            await a.log.stop()
            assert not a.log.is_available(room)
            with pytest.raises(BusUnavailable):
                await a.log.read(room)
            assert await b.bodies(room) == [b"1"]
            await a.log.stop()

        self.run_with_members(script)

    def test_an_append_fails_while_the_log_is_not_available(self) -> None:
        async def script(a: LogMember) -> None:
            await a.log.stop()
            with pytest.raises(AppendFailed):
                await a.append(a.room(_fresh()), b"1")

        self.run_with_members(script, count=1)

    def test_what_was_appended_before_the_stop_is_kept_or_fails(self) -> None:
        async def script(a: LogMember, b: LogMember) -> None:
            room = a.room(_fresh())
            waiting = [a.begin(room, a.message(b"%d" % number)) for number in range(50)]
            await a.log.stop()
            await asyncio.wait(waiting, timeout=10)
            kept = [each.result()[0] for each in waiting if each.exception() is None]
            assert len(await b.bodies(room)) >= len(kept)
            assert all(isinstance(each.exception(), AppendFailed) for each in waiting[len(kept) :])

        self.run_with_members(script)


def _fresh() -> str:
    """Return the id of a room that no other test uses."""
    return environment.token_hex(8)
