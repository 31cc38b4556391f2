"""The contract of transports that carry frames: Pings, and what RFC 6455 says of Close frames and compression."""

# ruff: noqa: D102 - the name of a test is its sentence

from __future__ import annotations

import pytest

from crosswire.core.deflate import compress, response
from crosswire.core.frames import Opcode, encode_frame
from crosswire.errors import NotConnected
from crosswire.testing.connection_ends import (
    BUFFER_FILLING_SIZE,
    LARGE_LIMITS,
    ConnectionEnds,
    check_pauses,
    fill,
)
from crosswire.testing.recording import RecordingReceiver, eventually
from crosswire.testing.transport_base import TransportContractBase
from crosswire.transport.inbox import Ping, Pong
from crosswire.types import Close, CloseCode


class FrameContract(TransportContractBase):
    """Tests of connections with frames."""

    def test_the_connection_has_frames_and_pings(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            assert ends.connection.framed
            assert ends.connection.can_ping

        self.run_with_connection(script)

    def test_a_ping_is_answered_with_its_payload(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            for payload in (b"", b"\x00\xff" * 62):
                ends.frame_peer.ping(payload)
                assert await ends.peer.receive() == Pong(payload)

        self.run_with_connection(script)

    def test_the_pong_to_a_ping_goes_to_the_receiver(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            ends.connection.ping(b"are you there")
            assert await ends.peer.receive() == Ping(b"are you there")
            await eventually(lambda: Pong(b"are you there") in ends.receiver.log, "the pong arrives")

        self.run_with_connection(script)

    def test_an_unsolicited_pong_goes_to_the_receiver_too(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            ends.frame_peer.pong(b"alive")
            await eventually(lambda: Pong(b"alive") in ends.receiver.log, "the pong arrives")

        self.run_with_connection(script)

    @pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000])
    def test_a_close_code_that_must_not_be_sent_is_answered_with_1002(self, code: int) -> None:
        async def script(ends: ConnectionEnds) -> None:
            ends.peer.close(code)
            answer = await ends.peer.receive()
            assert isinstance(answer, Close)
            assert answer.code == CloseCode.PROTOCOL_ERROR
            assert (await ends.ended()).code == CloseCode.PROTOCOL_ERROR

        self.run_with_connection(script)

    def test_waiting_messages_and_the_close_reach_a_peer_that_closes_before_it_has_read(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            sent = await fill(ends, until=BUFFER_FILLING_SIZE)
            ends.peer.close(1000, "enough")
            await eventually(lambda: ends.receiver.closes or ends.connection.buffered, "it arrives")
            ends.peer.resume_reading()
            for number in range(sent):
                assert str(await ends.peer.receive()).startswith(f"{number} ")
            assert await ends.peer.receive() == Close(1000, "enough")
            assert await ends.ended() == Close(1000, "enough")

        self.run_with_connection(script, limits=LARGE_LIMITS)

    def test_compressed_frames_are_accepted_if_that_was_negotiated(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            ends.connection.outbox.push(encode_frame(Opcode.TEXT, compress(b"again " * 100, 10), rsv1=True))
            assert await ends.peer.receive() == "again " * 100

        self.run_with_connection(script, window_bits=10, wants={"Sec-WebSocket-Extensions": response(10)})

    def test_a_receiver_that_fails_at_a_pong_ends_the_connection_with_1011(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            ends.frame_peer.pong(b"x")
            close = await ends.peer.receive()
            assert isinstance(close, Close)
            assert close.code == CloseCode.INTERNAL_ERROR
            assert (await ends.ended()).code == CloseCode.INTERNAL_ERROR

        self.run_with_connection(script, receiver=RecordingReceiver(fails_at="pong"))

    def test_pings_and_pongs_keep_the_order_of_messages_and_wait_while_reading_is_paused(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            expected: list[str | bytes | Pong] = []
            for number in range(300):
                text = f"{number} ".ljust(number * 37 % 3000)
                ends.peer.send_text(text)
                ends.peer.send_binary(b"%d" % number)
                ends.frame_peer.pong(b"%d" % number)
                expected += [text, b"%d" % number, Pong(b"%d" % number)]
            await ends.roundtrip()
            assert ends.receiver.log == ["opened"]
            ends.connection.resume_reading()
            await eventually(lambda: len(ends.receiver.log) > len(expected), "all arrives")
            assert ends.receiver.log[1:] == expected

        self.run_with_connection(script, receiver=RecordingReceiver(pauses_at="opened"))

    def test_reading_can_be_paused_while_a_pong_is_received(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            await check_pauses(
                ends, lambda number: ends.frame_peer.pong(b"%d" % number), lambda number: Pong(b"%d" % number)
            )

        self.run_with_connection(script, receiver=RecordingReceiver(pauses_at="pong"))

    def test_a_peer_is_pinged_while_reading_is_paused(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            ends.push_text("hello")
            ends.connection.ping(b"are you there")
            assert [await ends.peer.receive(), await ends.peer.receive()] == ["hello", Ping(b"are you there")]

        self.run_with_connection(script, receiver=RecordingReceiver(pauses_at="opened"))

    def test_nothing_is_pinged_or_answered_after_a_close(self) -> None:
        async def script(ends: ConnectionEnds) -> None:
            ends.connection.close(4000)
            ends.connection.ping(b"after")
            ends.frame_peer.ping(b"late")
            assert await ends.peer.receive() == Close(4000)
            with pytest.raises(NotConnected):
                await ends.peer.receive()
            await ends.ended()
            ends.connection.ping(b"hello?")
            assert ends.receiver.log == ["opened", Close(4000)]

        self.run_with_connection(script)
