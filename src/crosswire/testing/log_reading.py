"""The contract of logs: trimming and reading them, and their life."""

# ruff: noqa: D102 - the name of a test is its sentence

from __future__ import annotations

import asyncio

import pytest

from crosswire.core.positions import LogPosition
from crosswire.errors import BusUnavailable
from crosswire.testing.log_base import LogContractBase, fresh_id
from crosswire.testing.log_member import AppendFailed, LogMember


class ReadingContract(LogContractBase):
    """Tests of what a log gives back, and of when it can be reached."""

    # Trimming

    def test_the_last_messages_are_kept_as_many_as_asked(self) -> None:
        async def script(a: LogMember) -> None:
            room = a.room(fresh_id(), size=10)
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
            room = a.room(fresh_id(), ttl=0.3)
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
            room = a.room(fresh_id())
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
            room = a.room(fresh_id())
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
            room = a.room(fresh_id(), size=60)
            bodies = [b"%d " % number + bytes(50_000) for number in range(60)]
            for number in range(0, 60, 10):
                await a.append(room, *bodies[number : number + 10])
            assert await a.bodies(room) == bodies
            assert await a.bodies(room, 5, limit=50) == bodies[5:55]
            assert [record.body for record in (await a.log.read_before(room, 50, 45)).records] == bodies[4:49]

        self.run_with_members(script, count=1)

    def test_reading_a_log_that_does_not_exist_begins_it(self) -> None:
        async def script(a: LogMember, b: LogMember) -> None:
            room = a.room(fresh_id())
            tail = await a.log.read(room)
            assert (tail.last.offset, tail.settled, list(tail.records)) == (0, 0, [])
            assert (await b.log.read(room)).last == tail.last
            assert await b.append(room, b"1") == [LogPosition(tail.last.epoch, 1)]

        self.run_with_members(script)

    def test_reads_together_give_each_its_own(self) -> None:
        async def script(a: LogMember) -> None:
            rooms = [a.room(fresh_id()) for _ in range(100)]
            for number, room in enumerate(rooms):
                await a.append(room, b"%d" % number)
            found = await asyncio.gather(*[a.bodies(room) for room in rooms])
            assert found == [[b"%d" % number] for number in range(100)]

        self.run_with_members(script, count=1)

    def test_last_positions_of_many_logs_come_together(self) -> None:
        async def script(a: LogMember) -> None:
            rooms = [a.room(fresh_id()) for _ in range(256)]
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
            room = a.room(fresh_id())
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
                await a.append(a.room(fresh_id()), b"1")

        self.run_with_members(script, count=1)

    def test_what_was_appended_before_the_stop_is_kept_or_fails(self) -> None:
        async def script(a: LogMember, b: LogMember) -> None:
            room = a.room(fresh_id())
            waiting = [a.begin(room, a.message(b"%d" % number)) for number in range(50)]
            await a.log.stop()
            await asyncio.wait(waiting, timeout=10)
            kept = [each.result()[0] for each in waiting if each.exception() is None]
            assert len(await b.bodies(room)) >= len(kept)
            assert all(isinstance(each.exception(), AppendFailed) for each in waiting[len(kept) :])

        self.run_with_members(script)
