"""The contract of transports that carry frames: Pings, and what RFC 6455 says of Close frames and compression."""

# ruff: noqa: D102 - the name of a test is its sentence

from __future__ import annotations

import asyncio

import pytest

from crosswire.core.deflate import RESPONSE, compress
from crosswire.core.frames import Opcode, encode_frame
from crosswire.errors import NotConnected
from crosswire.testing.recorder import Recorder, eventually
from crosswire.testing.scene import CHUNK, LIMITS, MUCH, ROOMY, Scene, fill
from crosswire.testing.transport_stage import TransportStage
from crosswire.transport.inbox import Ping, Pong
from crosswire.types import Close, CloseCode


class FrameContract(TransportStage):
    """What only a connection with frames can do."""

    def test_a_ping_is_answered_with_its_payload(self) -> None:
        async def script(scene: Scene) -> None:
            for payload in (b"", b"\x00\xff" * 62):
                scene.frame_peer.ping(payload)
                assert await scene.peer.receive() == Pong(payload)

        self.play(script)

    def test_the_pong_to_a_ping_goes_to_the_receiver(self) -> None:
        async def script(scene: Scene) -> None:
            scene.connection.ping(b"are you there")
            assert await scene.peer.receive() == Ping(b"are you there")
            await eventually(lambda: Pong(b"are you there") in scene.receiver.log, "the pong arrives")

        self.play(script)

    def test_a_pong_that_nobody_asked_for_goes_to_the_receiver_too(self) -> None:
        async def script(scene: Scene) -> None:
            scene.frame_peer.pong(b"alive")
            await eventually(lambda: Pong(b"alive") in scene.receiver.log, "the pong arrives")

        self.play(script)

    @pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000])
    def test_a_close_code_that_must_not_be_sent_is_answered_with_1002(self, code: int) -> None:
        async def script(scene: Scene) -> None:
            scene.peer.close(code)
            answer = await scene.peer.receive()
            assert isinstance(answer, Close)
            assert answer.code == CloseCode.PROTOCOL_ERROR
            assert (await scene.ended()).code == CloseCode.PROTOCOL_ERROR

        self.play(script)

    def test_all_that_waits_and_the_close_reach_a_peer_that_closes_before_it_has_read(self) -> None:
        async def script(scene: Scene) -> None:
            sent = await fill(scene, until=MUCH)
            scene.peer.close(1000, "enough")
            await eventually(lambda: scene.receiver.closes or scene.connection.buffered, "it arrives")
            scene.peer.resume_reading()
            for number in range(sent):
                assert str(await scene.peer.receive()).startswith(f"{number} ")
            assert await scene.peer.receive() == Close(1000, "enough")
            assert await scene.ended() == Close(1000, "enough")

        self.play(script, limits=ROOMY)

    def test_compressed_frames_are_understood_where_that_was_agreed(self) -> None:
        async def script(scene: Scene) -> None:
            scene.connection.push(encode_frame(Opcode.TEXT, compress(b"again " * 100), rsv1=True))
            assert await scene.peer.receive() == "again " * 100

        self.play(script, deflate=True, wants={"Sec-WebSocket-Extensions": RESPONSE})

    def test_a_receiver_that_fails_at_a_pong_ends_the_connection_with_1011(self) -> None:
        async def script(scene: Scene) -> None:
            scene.frame_peer.pong(b"x")
            close = await scene.peer.receive()
            assert isinstance(close, Close)
            assert close.code == CloseCode.INTERNAL_ERROR
            assert (await scene.ended()).code == CloseCode.INTERNAL_ERROR

        self.play(script, receiver=Recorder(fails_at="pong"))

    def test_pings_and_pongs_keep_the_order_of_messages_and_wait_while_reading_is_paused(self) -> None:
        async def script(scene: Scene) -> None:
            expected: list[str | bytes | Pong] = []
            for number in range(300):
                text = f"{number} ".ljust(number * 37 % 3000)
                scene.peer.send_text(text)
                scene.peer.send_binary(b"%d" % number)
                scene.frame_peer.pong(b"%d" % number)
                expected += [text, b"%d" % number, Pong(b"%d" % number)]
            await scene.roundtrip()
            assert scene.receiver.log == ["opened"]
            scene.connection.resume_reading()
            await eventually(lambda: len(scene.receiver.log) > len(expected), "all arrives")
            assert scene.receiver.log[1:] == expected

        self.play(script, receiver=Recorder(pauses_at="opened"))

    def test_reading_can_be_paused_by_a_pong(self) -> None:
        async def script(scene: Scene) -> None:
            rounds = 16 * LIMITS.max_message // CHUNK
            for number in range(rounds):
                scene.peer.send_text(f"{number} ".ljust(CHUNK))
                scene.frame_peer.pong(b"%d" % number)
            await eventually(lambda: len(scene.receiver.log) > 1, "the first arrives")
            await scene.roundtrip()
            assert len(scene.receiver.log) / 2 * CHUNK <= 4 * LIMITS.max_message, "a read buffer holds less"
            while len(scene.receiver.log) <= 2 * rounds:
                scene.connection.resume_reading()
                await asyncio.sleep(0)
            assert [str(text).split()[0] for text in scene.receiver.log[1::2]] == [str(n) for n in range(rounds)]
            assert scene.receiver.log[2::2] == [Pong(b"%d" % number) for number in range(rounds)]

        self.play(script, receiver=Recorder(pauses_at="pong"))

    def test_a_peer_is_pinged_while_reading_is_paused(self) -> None:
        async def script(scene: Scene) -> None:
            scene.push_text("hello")
            scene.connection.ping(b"are you there")
            assert [await scene.peer.receive(), await scene.peer.receive()] == ["hello", Ping(b"are you there")]

        self.play(script, receiver=Recorder(pauses_at="opened"))

    def test_nothing_is_pinged_or_answered_after_a_close(self) -> None:
        async def script(scene: Scene) -> None:
            scene.connection.close(4000)
            scene.connection.ping(b"after")
            scene.frame_peer.ping(b"late")
            assert await scene.peer.receive() == Close(4000)
            with pytest.raises(NotConnected):
                await scene.peer.receive()
            await scene.ended()
            scene.connection.ping(b"hello?")
            assert scene.receiver.log == ["opened", Close(4000)]

        self.play(script)
