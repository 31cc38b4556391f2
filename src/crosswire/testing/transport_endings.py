"""The contract of every transport: how a connection ends, and who is told."""

# ruff: noqa: D102 - the name of a test is its sentence

from __future__ import annotations

import pytest

from crosswire.core.limits import Limits
from crosswire.errors import NotConnected
from crosswire.testing.recorder import Recorder
from crosswire.testing.scene import Scene
from crosswire.testing.transport_stage import TransportStage
from crosswire.types import Close, CloseCode


class EndingContract(TransportStage):
    """How a connection ends."""

    @pytest.mark.parametrize(
        "close", [Close(1000, "bye"), Close(1001), Close(1011, "ü" * 61), Close(3000), Close(4999, "x")]
    )
    def test_a_close_of_the_peer_is_told_and_answered(self, close: Close) -> None:
        async def script(scene: Scene) -> None:
            scene.peer.close(close.code, close.reason)
            assert await scene.peer.receive() == close
            assert await scene.ended() == close
            with pytest.raises(NotConnected):
                await scene.peer.receive()

        self.play(script)

    def test_an_empty_close_of_the_peer_is_1005_and_answered_with_an_empty_one(self) -> None:
        async def script(scene: Scene) -> None:
            scene.peer.close(None)
            assert await scene.peer.receive() == Close(CloseCode.NO_STATUS)
            assert await scene.ended() == Close(CloseCode.NO_STATUS)

        self.play(script)

    def test_a_peer_that_is_lost_is_1006(self) -> None:
        async def script(scene: Scene) -> None:
            scene.peer.abort()
            assert (await scene.ended()).code == CloseCode.ABNORMAL

        self.play(script)

    def test_what_was_pushed_before_a_close_leaves_first_and_nothing_after_it(self) -> None:
        async def script(scene: Scene) -> None:
            scene.push_text("before")
            scene.connection.close(4000, "enough")
            scene.push_text("after")
            assert [await scene.peer.receive(), await scene.peer.receive()] == ["before", Close(4000, "enough")]
            with pytest.raises(NotConnected):
                await scene.peer.receive()
            assert await scene.ended() == Close(4000, "enough")

        self.play(script)

    def test_the_first_close_counts(self) -> None:
        async def script(scene: Scene) -> None:
            scene.connection.close(4000, "first")
            scene.connection.close(4001, "second")
            assert await scene.peer.receive() == Close(4000, "first")
            scene.connection.abort(Close(4002, "third"))
            assert await scene.ended() == Close(4000, "first")

        self.play(script)

    def test_nothing_is_received_after_a_close(self) -> None:
        async def script(scene: Scene) -> None:
            scene.connection.close(4000)
            scene.peer.send_text("late")
            scene.peer.send_binary(b"late")
            assert await scene.peer.receive() == Close(4000)
            await scene.ended()
            assert scene.receiver.log == ["opened", Close(4000)]

        self.play(script)

    def test_a_peer_that_does_not_answer_a_close_is_dropped(self) -> None:
        async def script(scene: Scene) -> None:
            scene.peer.pause_reading()
            scene.connection.close(4000, "bye")
            assert await scene.ended() == Close(4000, "bye")

        self.play(script, limits=Limits(close_timeout=0.05))

    def test_an_abort_tells_the_receiver_what_it_was_given_and_the_peer_nothing(self) -> None:
        async def script(scene: Scene) -> None:
            scene.peer.send_text("never read")
            scene.connection.abort(Close(4002, "gone"))
            assert not scene.receiver.closes
            assert (await scene.peer.receive()) == Close(CloseCode.ABNORMAL, "the connection was lost")
            assert await scene.ended() == Close(4002, "gone")

        self.play(script)

    @pytest.mark.parametrize("how", ["close", "abort"])
    def test_it_can_be_ended_while_it_opens(self, how: str) -> None:
        async def script(scene: Scene) -> None:
            scene.peer.send_text("too late")
            close = await scene.peer.receive()
            assert isinstance(close, Close)
            assert close.code == (4003 if how == "close" else CloseCode.ABNORMAL)
            assert (await scene.ended()).code == 4003
            assert scene.receiver.log == ["opened", scene.receiver.closes[0]]

        self.play(script, receiver=Recorder(ends_with=how))

    def test_nothing_raises_when_the_peer_is_gone(self) -> None:
        async def script(scene: Scene) -> None:
            scene.peer.abort()
            await scene.ended()
            scene.push_text("hello?")
            scene.connection.close(4000)
            scene.connection.abort(Close(4000))
            assert not scene.connection.buffered

        self.play(script)
