"""The contract of every transport: nothing arrives while reading is paused, and nothing is lost."""

# ruff: noqa: D102 - the name of a test is its sentence

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from crosswire.core.limits import Limits
from crosswire.testing.connection_ends import CHUNK_SIZE, LIMITS, ConnectionEnds, check_pauses
from crosswire.testing.recording import RecordingReceiver, eventually
from crosswire.testing.transport_base import TransportContractBase
from crosswire.types import Close

FLOOD = 4000
"""Number of small messages that wait at once."""


class PauseContract(TransportContractBase):
    """Tests of a connection whose reading is paused."""

    def test_nothing_arrives_while_reading_is_paused_and_everything_afterwards_in_order(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            expected: list[str | bytes] = []
            for number in range(300):
                text = f"{number} ".ljust(number * 37 % 3000)
                ends.peer.send_text(text)
                ends.peer.send_binary(b"%d" % number)
                expected += [text, b"%d" % number]
            await ends.roundtrip()
            assert ends.receiver.log == ["opened"]
            ends.connection.resume_reading()
            assert ends.receiver.log == ["opened"]
            await eventually(lambda: len(ends.receiver.log) > len(expected), "all arrives")
            assert ends.receiver.log[1:] == expected

        self.run_with_connection(script, receiver=RecordingReceiver(pauses_at="opened"))

    def test_what_waited_is_received_in_many_turns_of_the_event_loop(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            for _ in range(FLOOD):
                ends.peer.send_text("x")
            await ends.roundtrip()
            ends.connection.resume_reading()
            received = 0
            async with asyncio.timeout(10):
                while received < FLOOD:
                    await asyncio.sleep(0)
                    before, received = received, len(ends.receiver.log) - 1
                    assert received - before <= FLOOD / 2, "others have had a turn meanwhile"
            assert ends.receiver.log[1:] == ["x"] * FLOOD

        self.run_with_connection(script, receiver=RecordingReceiver(pauses_at="opened"))

    def test_a_peer_over_its_rate_is_read_later_and_loses_nothing(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            loop = asyncio.get_running_loop()
            began = loop.time()
            for number in range(30):
                ends.peer.send_text(f"{number}")
            await eventually(lambda: len(ends.receiver.log) > 30, "all arrives")
            assert loop.time() - began > (30 - 10) / 100 * 0.9
            assert ends.receiver.log[1:] == [f"{number}" for number in range(30)]
            assert set(ends.receiver.limits) == {"message_rate"}

        self.run_with_connection(script, limits=replace(LIMITS, message_rate=100, burst=10))

    def test_a_peer_over_its_rate_of_bytes_is_read_later_and_loses_nothing(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            loop = asyncio.get_running_loop()
            began = loop.time()
            for _ in range(5):
                ends.peer.send_binary(bytes(30_000))
            await eventually(lambda: len(ends.receiver.log) > 5, "all arrives")
            assert loop.time() - began > (5 * 30_000 - 100_000 - 30_000) / 100_000 * 0.9
            assert ends.receiver.log[1:] == [bytes(30_000)] * 5
            assert set(ends.receiver.limits) == {"byte_rate"}

        self.run_with_connection(script, limits=replace(LIMITS, byte_rate=100_000))

    @pytest.mark.parametrize("moment", ["text", "binary"])
    def test_reading_can_be_paused_while_a_message_is_received(self, moment: str) -> None:
        async def script(ends: ConnectionEnds) -> None:
            await check_pauses(
                ends, lambda number: ends.peer.send_binary(b"%d" % number), lambda number: b"%d" % number
            )

        self.run_with_connection(script, receiver=RecordingReceiver(pauses_at=moment))

    def test_messages_are_sent_while_reading_is_paused(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            ends.push_text("hello")
            assert await ends.peer.receive() == "hello"

        self.run_with_connection(script, receiver=RecordingReceiver(pauses_at="opened"))

    def test_pausing_and_resuming_may_be_repeated(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            ends.connection.pause_reading()
            ends.peer.send_text("one")
            await ends.roundtrip()
            ends.connection.resume_reading()
            ends.connection.pause_reading()
            await ends.roundtrip()
            assert ends.receiver.log == ["opened"]
            ends.connection.resume_reading()
            ends.connection.resume_reading()
            await eventually(lambda: ends.receiver.log == ["opened", "one"], "it arrives")
            ends.peer.send_text("two")
            await eventually(lambda: ends.receiver.log == ["opened", "one", "two"], "the next arrives")

        self.run_with_connection(script, receiver=RecordingReceiver(pauses_at="opened"))

    def test_a_close_of_the_peer_while_reading_is_paused_comes_after_its_messages(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            ends.peer.send_text("last words")
            ends.peer.close(4000, "bye")
            ends.push_text("roundtrip")
            # What carries the connection may answer the Close while nothing reaches the receiver.
            assert await ends.peer.receive() in ("roundtrip", Close(4000, "bye"))
            assert ends.receiver.log == ["opened"]
            ends.connection.resume_reading()
            assert await ends.ended() == Close(4000, "bye")
            assert ends.receiver.log == ["opened", "last words", Close(4000, "bye")]

        self.run_with_connection(script, receiver=RecordingReceiver(pauses_at="opened"))

    def test_a_close_of_the_server_ends_the_pause_and_is_answered(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            for _ in range(100):
                ends.peer.send_text("never read".ljust(CHUNK_SIZE))
            await ends.roundtrip()
            ends.connection.close(4000, "enough")
            ends.connection.pause_reading()  # too late
            assert await ends.peer.receive() == Close(4000, "enough")
            assert await ends.ended() == Close(4000, "enough")
            assert ends.receiver.log == ["opened", Close(4000, "enough")]

        self.run_with_connection(
            script, receiver=RecordingReceiver(pauses_at="opened"), limits=Limits(close_timeout=60)
        )

    def test_an_abort_ends_a_paused_connection(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            ends.peer.send_text("never read")
            await ends.roundtrip()
            ends.connection.abort(Close(4002, "gone"))
            ends.connection.resume_reading()
            assert await ends.ended() == Close(4002, "gone")
            ends.connection.pause_reading()
            ends.connection.resume_reading()

        self.run_with_connection(script, receiver=RecordingReceiver(pauses_at="opened"))
