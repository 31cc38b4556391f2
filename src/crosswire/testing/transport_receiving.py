"""The contract of every transport: messages that arrive at the receiver, and their order."""

# ruff: noqa: D102 - the name of a test is its sentence

from __future__ import annotations

import pytest

from crosswire.testing.connection_ends import LIMITS, ConnectionEnds
from crosswire.testing.recording import RecordingReceiver, eventually
from crosswire.testing.transport_base import TransportContractBase
from crosswire.types import Close, CloseCode


class ReceivingContract(TransportContractBase):
    """Tests of messages that the peer sends."""

    def test_opened_comes_before_anything_and_closed_once_and_last(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            ends.peer.send_text("one")
            ends.peer.close(1000)
            ends.peer.send_text("too late")
            await ends.ended()
            assert ends.receiver.log == ["opened", "one", Close(1000)]

        self.run_with_connection(script)

    @pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, LIMITS.max_message])
    def test_messages_arrive_whole_at_both_ends(self, size: int) -> None:
        async def script(ends: ConnectionEnds) -> None:
            text, data = "x" * size, bytes(index % 251 for index in range(size))
            ends.peer.send_text(text)
            ends.peer.send_binary(data)
            await eventually(lambda: len(ends.receiver.log) == 3, "both messages arrive")
            assert ends.receiver.log == ["opened", text, data]
            ends.push_text(text)
            assert await ends.peer.receive() == text
            ends.push_binary(data)
            assert await ends.peer.receive() == data

        self.run_with_connection(script)

    def test_a_message_that_is_too_large_ends_the_connection_with_1009(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            ends.peer.send_binary(bytes(LIMITS.max_message + 1))
            close = await ends.peer.receive()
            assert isinstance(close, Close)
            assert close.code == CloseCode.TOO_BIG
            assert (await ends.ended()).code == CloseCode.TOO_BIG
            assert ends.receiver.log == ["opened", ends.receiver.closes[0]]

        self.run_with_connection(script)

    @pytest.mark.parametrize("moment", ["opened", "text", "binary"])
    def test_a_receiver_that_fails_ends_the_connection_with_1011(self, moment: str) -> None:
        async def script(ends: ConnectionEnds) -> None:
            ends.peer.send_text("x")
            ends.peer.send_binary(b"x")
            close = await ends.peer.receive()
            assert isinstance(close, Close)
            assert close.code == CloseCode.INTERNAL_ERROR
            assert (await ends.ended()).code == CloseCode.INTERNAL_ERROR

        self.run_with_connection(script, receiver=RecordingReceiver(fails_at=moment))
