"""The contract of every transport: what arrives at the receiver, and in what order."""

# ruff: noqa: D102 - the name of a test is its sentence

from __future__ import annotations

import pytest

from crosswire.testing.recorder import Recorder, eventually
from crosswire.testing.scene import LIMITS, Scene
from crosswire.testing.transport_stage import TransportStage
from crosswire.types import Close, CloseCode


class ArrivalContract(TransportStage):
    """What the peer sends."""

    def test_opened_comes_before_anything_and_closed_once_and_last(self) -> None:
        async def script(scene: Scene) -> None:
            scene.peer.send_text("one")
            scene.peer.close(1000)
            scene.peer.send_text("too late")
            await scene.ended()
            assert scene.receiver.log == ["opened", "one", Close(1000)]

        self.play(script)

    @pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, LIMITS.max_message])
    def test_messages_arrive_whole_at_both_ends(self, size: int) -> None:
        async def script(scene: Scene) -> None:
            text, data = "x" * size, bytes(index % 251 for index in range(size))
            scene.peer.send_text(text)
            scene.peer.send_binary(data)
            await eventually(lambda: len(scene.receiver.log) == 3, "both messages arrive")
            assert scene.receiver.log == ["opened", text, data]
            scene.push_text(text)
            assert await scene.peer.receive() == text
            scene.push_binary(data)
            assert await scene.peer.receive() == data

        self.play(script)

    def test_a_message_that_is_too_large_ends_the_connection_with_1009(self) -> None:
        async def script(scene: Scene) -> None:
            scene.peer.send_binary(bytes(LIMITS.max_message + 1))
            close = await scene.peer.receive()
            assert isinstance(close, Close)
            assert close.code == CloseCode.TOO_BIG
            assert (await scene.ended()).code == CloseCode.TOO_BIG
            assert scene.receiver.log == ["opened", scene.receiver.closes[0]]

        self.play(script)

    @pytest.mark.parametrize("moment", ["opened", "text", "binary"])
    def test_a_receiver_that_fails_ends_the_connection_with_1011(self, moment: str) -> None:
        async def script(scene: Scene) -> None:
            scene.peer.send_text("x")
            scene.peer.send_binary(b"x")
            close = await scene.peer.receive()
            assert isinstance(close, Close)
            assert close.code == CloseCode.INTERNAL_ERROR
            assert (await scene.ended()).code == CloseCode.INTERNAL_ERROR

        self.play(script, receiver=Recorder(fails_at=moment))
