"""The contract of every transport: messages that are sent, and buffered for a peer that does not read."""

# ruff: noqa: D102 - the name of a test is its sentence

from __future__ import annotations

import asyncio

import pytest

from crosswire.core.event_policies import MessagePolicy
from crosswire.core.limits import Limits
from crosswire.core.skipped_messages import SkippedMessages
from crosswire.testing.connection_ends import (
    BUFFER_FILLING_SIZE,
    CHUNK_SIZE,
    LARGE_LIMITS,
    LIMITS,
    ConnectionEnds,
    chunk,
    fill,
)
from crosswire.testing.recording import eventually
from crosswire.testing.transport_base import TransportContractBase
from crosswire.types import Close, CloseCode


class SendingContract(TransportContractBase):
    """Tests of messages that are pushed."""

    def test_frames_leave_in_the_order_they_were_pushed(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            expected = [f"{number} {'x' * (number * 37 % 3000)}" for number in range(300)]
            for number, text in enumerate(expected):
                ends.push_text(text)
                if number % 20 == 0:
                    await asyncio.sleep(0)
            assert [await ends.peer.receive() for _ in expected] == expected

        self.run_with_connection(script, limits=LARGE_LIMITS)

    def test_frames_of_one_turn_leave_in_one_write(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            before = ends.harness.writes()
            for number in range(100):
                ends.push_text(str(number))
            assert [await ends.peer.receive() for _ in range(100)] == [str(number) for number in range(100)]
            assert ends.harness.writes() - before in ends.harness.writes_of_a_turn

        self.run_with_connection(script)

    def test_buffered_grows_while_the_peer_does_not_read_and_falls_afterwards(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            sent = await fill(ends, until=BUFFER_FILLING_SIZE)
            assert ends.connection.buffered >= BUFFER_FILLING_SIZE
            ends.peer.resume_reading()
            for number in range(sent):
                assert str(await ends.peer.receive()).startswith(f"{number} ")
            await eventually(lambda: not ends.connection.buffered, "nothing waits any more")
            assert not ends.receiver.closes

        self.run_with_connection(script, limits=LARGE_LIMITS)

    def test_a_peer_that_does_not_read_is_dropped_once_the_outbox_overflows(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            await fill(ends, until=LIMITS.outbox * 1000)
            assert (await ends.ended()).code == CloseCode.TRY_AGAIN_LATER

        self.run_with_connection(script)

    def test_no_callback_runs_during_a_push(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            await fill(ends, until=CHUNK_SIZE)
            for _ in range((BUFFER_FILLING_SIZE + LIMITS.outbox) // CHUNK_SIZE):
                ends.push_text(chunk(0))
            assert not ends.receiver.closes
            await ends.ended()

        self.run_with_connection(script)

    def test_a_peer_that_is_behind_misses_what_need_not_be_sent(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            skipped = SkippedMessages()
            price = skipped.droppable(MessagePolicy("latest", "price", "1"))
            cursor = skipped.droppable(MessagePolicy("volatile", "cursor"))
            ends.offer_text("early", cursor)
            assert await ends.peer.receive() == "early"
            sent = await fill(ends, until=BUFFER_FILLING_SIZE)
            assert ends.connection.behind
            for number in range(1000):
                ends.offer_text(f"price {number}", price)
                ends.offer_text(f"cursor {number}", cursor)
            ends.push_text("end")
            ends.peer.resume_reading()
            received = [str(await ends.peer.receive()) for _ in range(sent + 2)]
            assert [text.strip() for text in received] == [*map(str, range(sent)), "price 999", "end"]
            assert skipped.by_event == {"price": 999, "cursor": 1000}
            await eventually(lambda: not ends.connection.behind, "nothing waits any more")

        self.run_with_connection(script, limits=LARGE_LIMITS)

    def test_a_peer_that_takes_nothing_is_dropped_though_little_waits(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            await fill(ends, until=BUFFER_FILLING_SIZE)
            close = await ends.ended()
            assert close.code == CloseCode.TRY_AGAIN_LATER
            assert "next to nothing" in close.reason

        self.run_with_connection(script, limits=Limits(outbox=LARGE_LIMITS.outbox, outbox_time=0.5))

    @pytest.mark.parametrize("below", [1, CHUNK_SIZE, 64 * 1024, BUFFER_FILLING_SIZE])
    def test_drained_waits_until_less_is_buffered(self, below: int) -> None:
        async def script(ends: ConnectionEnds) -> None:
            sent = await fill(ends, until=BUFFER_FILLING_SIZE + CHUNK_SIZE)
            drained = asyncio.create_task(ends.connection.drained(below))
            await asyncio.sleep(0)
            assert not drained.done()
            ends.peer.resume_reading()
            numbers = [int(str(await ends.peer.receive()).split()[0]) for _ in range(sent)]
            assert numbers == list(range(sent))
            assert await drained
            ends.push_text("later")
            assert await ends.peer.receive() == "later"

        self.run_with_connection(script, limits=LARGE_LIMITS)

    def test_less_is_buffered_when_drained_returns(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            texts: list[str] = []

            async def read() -> None:
                while not texts or texts[-1] != "end":
                    texts.append(str(await ends.peer.receive()))

            reading = asyncio.create_task(read())
            for number in range(4 * BUFFER_FILLING_SIZE // CHUNK_SIZE):
                ends.push_text(chunk(number))
                if number % 8 == 7:
                    assert await ends.connection.drained(CHUNK_SIZE)
                    assert ends.connection.buffered < CHUNK_SIZE
            ends.push_text("end")
            await reading
            assert len(texts) == 4 * BUFFER_FILLING_SIZE // CHUNK_SIZE + 1

        self.run_with_connection(script, limits=Limits(outbox=16 * CHUNK_SIZE))

    def test_drained_returns_at_once_if_little_is_buffered(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            async with asyncio.timeout(5):
                assert await ends.connection.drained(1)
                ends.push_text("x" * 100)
                assert await ends.connection.drained(1)

        self.run_with_connection(script)

    def test_several_tasks_may_wait_in_drained_and_be_cancelled(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            sent = await fill(ends, until=BUFFER_FILLING_SIZE + CHUNK_SIZE)
            marks = (1, CHUNK_SIZE, BUFFER_FILLING_SIZE, 1)
            tasks = [asyncio.create_task(ends.connection.drained(below)) for below in marks]
            await asyncio.sleep(0)
            tasks[2].cancel()
            tasks[0].cancel()
            await asyncio.wait(tasks[:1])
            ends.peer.resume_reading()
            for _ in range(sent):
                await ends.peer.receive()
            assert await asyncio.gather(*tasks, return_exceptions=True) != [True] * 4
            assert [task.cancelled() or task.result() for task in tasks] == [True] * 4

        self.run_with_connection(script, limits=LARGE_LIMITS)

    @pytest.mark.parametrize("end", ["close", "abort", "overflow", "loss"])
    def test_drained_returns_false_when_the_connection_ends(self, end: str) -> None:
        async def script(ends: ConnectionEnds) -> None:
            await fill(ends, until=BUFFER_FILLING_SIZE + CHUNK_SIZE)
            drained = asyncio.create_task(ends.connection.drained(CHUNK_SIZE))
            await asyncio.sleep(0)
            if end == "close":
                ends.connection.close(4000)
            elif end == "abort":
                ends.connection.abort(Close(4000))
            elif end == "loss":
                ends.peer.abort()
            else:
                for number in range(4 * BUFFER_FILLING_SIZE // CHUNK_SIZE):
                    ends.push_text(chunk(number))
            async with asyncio.timeout(10):
                assert not await drained
                assert not await ends.connection.drained(CHUNK_SIZE)

        self.run_with_connection(script, limits=LARGE_LIMITS)

    def test_a_single_message_over_the_limit_is_sent_if_nothing_waits(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            text = "x" * (LIMITS.outbox * 3)
            ends.push_text(text)
            assert await ends.peer.receive() == text

        self.run_with_connection(script)
