"""The contract of logs: appending messages, and the epochs of a log."""

# ruff: noqa: D102 - the name of a test is its sentence

from __future__ import annotations

import asyncio

import pytest

from crosswire.cluster.log.interface import AppendFailure, NewMessage
from crosswire.core.positions import LogPosition, parse_position
from crosswire.testing.log_base import LogContractBase, fresh_id
from crosswire.testing.log_member import AppendFailed, LogMember
from crosswire.testing.recording import eventually

_BYTES = bytes(range(256))


class AppendingContract(LogContractBase):
    """Tests of what a log keeps, in which order, and what it publishes."""

    # Appending

    def test_offsets_count_from_one_within_an_epoch(self) -> None:
        async def script(a: LogMember, b: LogMember) -> None:
            room = a.room(fresh_id())
            (first,) = await a.append(room, b"1")
            second, third = await b.append(room, b"2", b"3")
            assert [first.offset, second.offset, third.offset] == [1, 2, 3]
            assert first.epoch == second.epoch == third.epoch
            assert parse_position(str(first)) == first

        self.run_with_members(script)

    def test_every_room_has_an_epoch_of_its_own(self) -> None:
        async def script(a: LogMember) -> None:
            positions = [(await a.append(a.room(fresh_id()), b"x"))[0] for _ in range(20)]
            assert len({position.epoch for position in positions}) == 20

        self.run_with_members(script, count=1)

    def test_records_come_to_all_that_listen_the_sender_too_in_one_order(self) -> None:
        async def script(a: LogMember, b: LogMember, c: LogMember) -> None:
            room = a.room(fresh_id())
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
            room = a.room(fresh_id())
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
            room = a.room(fresh_id())
            await b.listen(room)
            body = (_BYTES * (size // 256 + 1))[:size]
            await a.append(room, body, b"end")
            await b.hears(room, body, b"end")
            assert await b.bodies(room) == [body, b"end"]

        self.run_with_members(script)

    @pytest.mark.parametrize("id", ["{x}", "}{", "a:b c\r\n", "ü", "x" * 1000, "0"])
    def test_rooms_and_ids_may_have_any_name(self, id: str) -> None:
        async def script(a: LogMember, b: LogMember) -> None:
            room, other = a.room(fresh_id() + id), a.room(fresh_id() + id + id)
            first, second = await a.append(room, a.message(b"1", id), a.message(b"2", id + id))
            assert await b.append(room, b.message(b"3", id)) == [first]
            assert (await b.append(other, b.message(b"4", id)))[0].epoch != first.epoch
            assert second.offset == 2
            assert await b.bodies(room) == [b"1", b"2"]

        self.run_with_members(script)

    def test_the_largest_number_and_origins_of_any_bytes_are_kept(self) -> None:
        async def script(a: LogMember) -> None:
            room = a.room(fresh_id())
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
            room = a.room(fresh_id())
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
            room, other = a.room(fresh_id()), a.room(fresh_id())
            await a.append(room, NewMessage(5, b"1"))
            await b.append(room, NewMessage(5, b"2"))
            await a.append(other, NewMessage(5, b"3"))
            assert await a.bodies(room) == [b"1", b"2"]
            assert await a.bodies(other) == [b"3"]

        self.run_with_members(script)

    def test_a_second_message_with_an_id_is_not_kept_whoever_sends_it(self) -> None:
        async def script(a: LogMember, b: LogMember) -> None:
            room = a.room(fresh_id())
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
            room = a.room(fresh_id())
            first, second, third = await a.append(room, a.message(b"1", "x"), a.message(b"2", "x"), a.message(b"3"))
            assert (first.offset, second.offset, third.offset) == (1, 1, 2)
            assert await a.bodies(room) == [b"1", b"3"]

        self.run_with_members(script, count=1)

    def test_a_message_that_its_id_keeps_out_does_not_keep_out_the_next(self) -> None:
        async def script(a: LogMember, b: LogMember) -> None:
            room = a.room(fresh_id())
            await a.append(room, a.message(b"1", "x"))
            twin = b.message(b"2", "x")
            await b.append(room, twin)
            await b.append(room, b.message(b"3"), previous=twin.number)
            assert await b.bodies(room) == [b"1", b"3"]

        self.run_with_members(script)

    def test_an_id_is_known_in_its_room_only_and_in_a_later_epoch_too(self) -> None:
        async def script(a: LogMember) -> None:
            room, other = a.room(fresh_id()), a.room(fresh_id())
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
            room = a.room(fresh_id())
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
            room, previous, waiting = a.room(fresh_id()), 0, []
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
            room = a.room(fresh_id())
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
            room = a.room(fresh_id())
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
            room = a.room(fresh_id())
            one = a.message(b"1")
            await a.append(room, one)
            await b.append(room, new_epoch=True)
            await a.append(room, one)
            await a.append(room, a.message(b"2"), previous=one.number)
            assert await a.bodies(room) == [b"2"]

        self.run_with_members(script)

    def test_messages_that_began_an_epoch_begin_no_second_one_when_they_come_again(self) -> None:
        async def script(a: LogMember) -> None:
            room = a.room(fresh_id())
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
            room = a.room(fresh_id())
            await a.append(room, b"1", b"2")
            assert (await a.log.read(room)).settled == 0

        self.run_with_members(script, count=1)

    def test_positions_of_a_settling_epoch_are_good_from_the_first_message_after_the_time_on(self) -> None:
        async def script(a: LogMember) -> None:
            room = a.room(fresh_id())
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
