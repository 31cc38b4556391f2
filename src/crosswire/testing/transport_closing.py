"""The contract of every transport: closing a connection, and losing one."""

# ruff: noqa: D102 - the name of a test is its sentence

from __future__ import annotations

import pytest

from crosswire.core.limits import Limits
from crosswire.errors import NotConnected
from crosswire.testing.connection_ends import ConnectionEnds
from crosswire.testing.recording import RecordingReceiver
from crosswire.testing.transport_base import TransportContractBase
from crosswire.types import Close, CloseCode


class ClosingContract(TransportContractBase):
    """Tests of the end of a connection."""

    @pytest.mark.parametrize(
        "close", [Close(1000, "bye"), Close(1001), Close(1011, "ü" * 61), Close(3000), Close(4999, "x")]
    )
    def test_a_close_of_the_peer_is_reported_and_answered(self, close: Close) -> None:
        async def script(ends: ConnectionEnds) -> None:
            ends.peer.close(close.code, close.reason)
            assert await ends.peer.receive() == close
            assert await ends.ended() == close
            with pytest.raises(NotConnected):
                await ends.peer.receive()

        self.run_with_connection(script)

    def test_an_empty_close_of_the_peer_is_1005_and_answered_with_an_empty_one(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            ends.peer.close(None)
            assert await ends.peer.receive() == Close(CloseCode.NO_STATUS)
            assert await ends.ended() == Close(CloseCode.NO_STATUS)

        self.run_with_connection(script)

    def test_a_peer_that_is_lost_is_1006(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            ends.peer.abort()
            assert (await ends.ended()).code == CloseCode.ABNORMAL

        self.run_with_connection(script)

    def test_messages_pushed_before_a_close_are_sent_and_none_after_it(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            ends.push_text("before")
            ends.connection.close(4000, "enough")
            ends.push_text("after")
            assert [await ends.peer.receive(), await ends.peer.receive()] == ["before", Close(4000, "enough")]
            with pytest.raises(NotConnected):
                await ends.peer.receive()
            assert await ends.ended() == Close(4000, "enough")

        self.run_with_connection(script)

    def test_the_first_close_counts(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            ends.connection.close(4000, "first")
            ends.connection.close(4001, "second")
            assert await ends.peer.receive() == Close(4000, "first")
            ends.connection.abort(Close(4002, "third"))
            assert await ends.ended() == Close(4000, "first")

        self.run_with_connection(script)

    def test_nothing_is_received_after_a_close(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            ends.connection.close(4000)
            ends.peer.send_text("late")
            ends.peer.send_binary(b"late")
            assert await ends.peer.receive() == Close(4000)
            await ends.ended()
            assert ends.receiver.log == ["opened", Close(4000)]

        self.run_with_connection(script)

    def test_a_peer_that_does_not_answer_a_close_is_dropped(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            ends.peer.pause_reading()
            ends.connection.close(4000, "bye")
            assert await ends.ended() == Close(4000, "bye")

        self.run_with_connection(script, limits=Limits(close_timeout=0.05))

    def test_an_abort_reports_its_close_to_the_receiver_and_sends_none_to_the_peer(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            ends.peer.send_text("never read")
            ends.connection.abort(Close(4002, "gone"))
            assert not ends.receiver.closes
            assert (await ends.peer.receive()) == Close(CloseCode.ABNORMAL, "the connection was lost")
            assert await ends.ended() == Close(4002, "gone")

        self.run_with_connection(script)

    @pytest.mark.parametrize("how", ["close", "abort"])
    def test_a_connection_can_be_ended_while_it_opens(self, how: str) -> None:
        async def script(ends: ConnectionEnds) -> None:
            ends.peer.send_text("too late")
            close = await ends.peer.receive()
            assert isinstance(close, Close)
            assert close.code == (4003 if how == "close" else CloseCode.ABNORMAL)
            assert (await ends.ended()).code == 4003
            assert ends.receiver.log == ["opened", ends.receiver.closes[0]]

        self.run_with_connection(script, receiver=RecordingReceiver(ends_with=how))

    def test_no_method_raises_when_the_peer_is_gone(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            ends.peer.abort()
            await ends.ended()
            ends.push_text("hello?")
            ends.connection.close(4000)
            ends.connection.abort(Close(4000))
            assert not ends.connection.buffered

        self.run_with_connection(script)
