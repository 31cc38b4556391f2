"""The contract of every transport: nothing arrives while reading is paused, and nothing is lost."""

# ruff: noqa: D102 - the name of a test is its sentence

from __future__ import annotations

import asyncio

import pytest

from crosswire.core.limits import Limits
from crosswire.testing.recorder import Recorder, eventually
from crosswire.testing.scene import CHUNK, LIMITS, Scene
from crosswire.testing.transport_stage import TransportStage
from crosswire.types import Close


class PauseContract(TransportStage):
    """What happens while reading is paused."""

    def test_nothing_arrives_while_reading_is_paused_and_everything_afterwards_in_order(self) -> None:
        async def script(scene: Scene) -> None:
            expected: list[str | bytes] = []
            for number in range(300):
                text = f"{number} ".ljust(number * 37 % 3000)
                scene.peer.send_text(text)
                scene.peer.send_binary(b"%d" % number)
                expected += [text, b"%d" % number]
            await scene.roundtrip()
            assert scene.receiver.log == ["opened"]
            scene.connection.resume_reading()
            assert scene.receiver.log == ["opened"]
            await eventually(lambda: len(scene.receiver.log) > len(expected), "all arrives")
            assert scene.receiver.log[1:] == expected

        self.play(script, receiver=Recorder(pauses_at="opened"))

    @pytest.mark.parametrize("moment", ["text", "binary"])
    def test_reading_can_be_paused_by_what_arrives(self, moment: str) -> None:
        async def script(scene: Scene) -> None:
            rounds = 16 * LIMITS.max_message // CHUNK
            for number in range(rounds):
                scene.peer.send_text(f"{number} ".ljust(CHUNK))
                scene.peer.send_binary(b"%d" % number)
            await eventually(lambda: len(scene.receiver.log) > 1, "the first arrives")
            await scene.roundtrip()
            assert len(scene.receiver.log) / 2 * CHUNK <= 4 * LIMITS.max_message, "a read buffer holds less"
            while len(scene.receiver.log) <= 2 * rounds:
                scene.connection.resume_reading()
                await asyncio.sleep(0)
            assert [str(text).split()[0] for text in scene.receiver.log[1::2]] == [str(n) for n in range(rounds)]
            assert scene.receiver.log[2::2] == [b"%d" % number for number in range(rounds)]

        self.play(script, receiver=Recorder(pauses_at=moment))

    def test_a_peer_is_sent_to_while_reading_is_paused(self) -> None:
        async def script(scene: Scene) -> None:
            scene.push_text("hello")
            assert await scene.peer.receive() == "hello"

        self.play(script, receiver=Recorder(pauses_at="opened"))

    def test_pausing_and_resuming_may_be_said_again(self) -> None:
        async def script(scene: Scene) -> None:
            scene.connection.pause_reading()
            scene.peer.send_text("one")
            await scene.roundtrip()
            scene.connection.resume_reading()
            scene.connection.pause_reading()
            await scene.roundtrip()
            assert scene.receiver.log == ["opened"]
            scene.connection.resume_reading()
            scene.connection.resume_reading()
            await eventually(lambda: scene.receiver.log == ["opened", "one"], "it arrives")
            scene.peer.send_text("two")
            await eventually(lambda: scene.receiver.log == ["opened", "one", "two"], "the next arrives")

        self.play(script, receiver=Recorder(pauses_at="opened"))

    def test_a_peer_that_closes_while_reading_is_paused_is_heard_in_its_turn(self) -> None:
        async def script(scene: Scene) -> None:
            scene.peer.send_text("last words")
            scene.peer.close(4000, "bye")
            await scene.roundtrip()
            assert scene.receiver.log == ["opened"]
            scene.connection.resume_reading()
            assert await scene.ended() == Close(4000, "bye")
            assert scene.receiver.log == ["opened", "last words", Close(4000, "bye")]

        self.play(script, receiver=Recorder(pauses_at="opened"))

    def test_a_close_from_here_ends_the_pause_and_is_answered(self) -> None:
        async def script(scene: Scene) -> None:
            for _ in range(100):
                scene.peer.send_text("never read".ljust(CHUNK))
            await scene.roundtrip()
            scene.connection.close(4000, "enough")
            scene.connection.pause_reading()  # too late
            assert await scene.peer.receive() == Close(4000, "enough")
            assert await scene.ended() == Close(4000, "enough")
            assert scene.receiver.log == ["opened", Close(4000, "enough")]

        self.play(script, receiver=Recorder(pauses_at="opened"), limits=Limits(close_timeout=60))

    def test_an_abort_ends_a_paused_connection(self) -> None:
        async def script(scene: Scene) -> None:
            scene.peer.send_text("never read")
            await scene.roundtrip()
            scene.connection.abort(Close(4002, "gone"))
            scene.connection.resume_reading()
            assert await scene.ended() == Close(4002, "gone")
            scene.connection.pause_reading()
            scene.connection.resume_reading()

        self.play(script, receiver=Recorder(pauses_at="opened"))
