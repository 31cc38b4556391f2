"""The contract of every transport, as tests: each states one sentence of ``crosswire.transport.interface``.

To test a transport, say how to listen with it and how to connect to that::

    class TestMyTransport(TransportContract):
        @asynccontextmanager
        async def harness(self, acceptor, limits):
            ...
            yield Harness(connect)

It needs pytest, from the extra ``crosswire[testing]``.
"""

# ruff: noqa: D102 - the name of a test is its sentence

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from crosswire.core.deflate import RESPONSE, compress
from crosswire.core.frames import Opcode, encode_frame
from crosswire.errors import NotConnected
from crosswire.runtime import loops
from crosswire.testing.recorder import Gatekeeper, Harness, Recorder, eventually, text_frame
from crosswire.testing.scene import CHUNK, LIMITS, MUCH, ROOMY, Scene, chunk, fill
from crosswire.transport.inbox import Ping, Pong
from crosswire.transport.interface import Acceptor, Request, Response
from crosswire.types import Close, CloseCode, Limits


class TransportContract(ABC):
    """Inherit from it, define :meth:`harness`, and pytest runs the contract against your transport."""

    @abstractmethod
    def harness(self, acceptor: Acceptor, limits: Limits) -> AbstractAsyncContextManager[Harness]:
        """Listen for ``acceptor`` while the context is entered; every test enters it on an event loop of its own."""

    def run(self, test: Coroutine[Any, Any, None]) -> None:
        """Run a test to its end; override it to use another event loop, or to check more."""
        loops.run(test)

    def play(self, script: Any, *, limits: Limits = LIMITS, receiver: Recorder | None = None, **grants: Any) -> None:
        """Run ``script(scene)`` with a connection that was just opened."""

        async def main() -> None:
            gatekeeper = Gatekeeper(receiver or Recorder(), **grants)
            async with self.harness(gatekeeper, limits) as harness:
                peer = await harness.connect("/", gatekeeper.wants)
                assert not isinstance(peer, Response), peer
                try:
                    await script(Scene(peer, gatekeeper.receiver, harness))
                finally:
                    peer.abort()
                    gatekeeper.receiver.connection.abort(Close(CloseCode.ABNORMAL))
                await eventually(lambda: gatekeeper.receiver.closes, "the receiver is told that its peer is gone")
            assert gatekeeper.receiver.log[0] == "opened"
            assert gatekeeper.receiver.log[-1] == gatekeeper.receiver.closes[0]
            assert len(gatekeeper.receiver.closes) == 1

        self.run(main())

    # The request

    def test_the_acceptor_is_told_target_headers_and_remote(self) -> None:
        async def main() -> None:
            gatekeeper = Gatekeeper(Recorder())
            async with self.harness(gatekeeper, LIMITS) as harness:
                peer = await harness.connect("/a%20b?id=1&x=%C3%BC", {"X-One": "a b"})
                assert not isinstance(peer, Response)
                request: Request = gatekeeper.requests[0]
                assert request.target == "/a%20b?id=1&x=%C3%BC"
                assert request.headers["x-one"] == "a b"
                assert request.wants_websocket
                assert request.remote == harness.remote
                peer.abort()
                await eventually(lambda: gatekeeper.receiver.closes, "the end")

        self.run(main())

    def test_a_refused_request_gets_the_response(self) -> None:
        async def main() -> None:
            gatekeeper = Gatekeeper(Recorder(), Response(403, b"not you", {"X-Why": "because"}))
            async with self.harness(gatekeeper, LIMITS) as harness:
                answer = await harness.connect("/", {})
                assert isinstance(answer, Response)
                assert (answer.status, answer.body, answer.headers["X-Why"]) == (403, b"not you", "because")
            assert gatekeeper.receiver.log == []

        self.run(main())

    def test_the_subprotocol_is_handed_through(self) -> None:
        async def script(scene: Scene) -> None:
            assert scene.peer.subprotocol == "b.two"

        self.play(script, subprotocol="b.two", wants={"Sec-WebSocket-Protocol": "a.one, b.two"})

    def test_without_a_subprotocol_there_is_none(self) -> None:
        async def script(scene: Scene) -> None:
            assert scene.peer.subprotocol is None

        self.play(script)

    def test_header_fields_of_the_acceptance_reach_the_peer(self) -> None:
        async def script(scene: Scene) -> None:
            assert scene.peer.headers["x-one"] == "a b"

        self.play(script, headers={"X-One": "a b"})

    def test_compressed_frames_are_understood_where_that_was_agreed(self) -> None:
        async def script(scene: Scene) -> None:
            scene.connection.push(encode_frame(Opcode.TEXT, compress(b"again " * 100), rsv1=True))
            assert await scene.peer.receive() == "again " * 100

        self.play(script, deflate=True, wants={"Sec-WebSocket-Extensions": RESPONSE})

    # What arrives

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
            scene.connection.push(text_frame(text))
            assert await scene.peer.receive() == text
            scene.connection.push(encode_frame(Opcode.BINARY, data))
            assert await scene.peer.receive() == data

        self.play(script)

    def test_a_ping_is_answered_with_its_payload(self) -> None:
        async def script(scene: Scene) -> None:
            for payload in (b"", b"\x00\xff" * 62):
                scene.peer.ping(payload)
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
            scene.peer.pong(b"alive")
            await eventually(lambda: Pong(b"alive") in scene.receiver.log, "the pong arrives")

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

    @pytest.mark.parametrize("moment", ["opened", "text", "binary", "pong"])
    def test_a_receiver_that_fails_ends_the_connection_with_1011(self, moment: str) -> None:
        async def script(scene: Scene) -> None:
            scene.peer.send_text("x")
            scene.peer.send_binary(b"x")
            scene.peer.pong(b"x")
            close = await scene.peer.receive()
            assert isinstance(close, Close)
            assert close.code == CloseCode.INTERNAL_ERROR
            assert (await scene.ended()).code == CloseCode.INTERNAL_ERROR

        self.play(script, receiver=Recorder(fails_at=moment))

    # What leaves

    def test_frames_leave_in_the_order_they_were_pushed(self) -> None:
        async def script(scene: Scene) -> None:
            expected = [f"{number} {'x' * (number * 37 % 3000)}" for number in range(300)]
            for number, text in enumerate(expected):
                scene.connection.push(text_frame(text))
                if number % 20 == 0:
                    await asyncio.sleep(0)
            assert [await scene.peer.receive() for _ in expected] == expected

        self.play(script, limits=ROOMY)

    def test_frames_of_one_turn_leave_in_one_write(self) -> None:
        async def script(scene: Scene) -> None:
            before = scene.harness.writes()
            for number in range(100):
                scene.connection.push(text_frame(str(number)))
            assert [await scene.peer.receive() for _ in range(100)] == [str(number) for number in range(100)]
            assert scene.harness.writes() - before in scene.harness.writes_of_a_turn

        self.play(script)

    def test_buffered_grows_while_the_peer_does_not_read_and_falls_afterwards(self) -> None:
        async def script(scene: Scene) -> None:
            sent = await fill(scene, until=MUCH)
            assert scene.connection.buffered >= MUCH
            scene.peer.resume_reading()
            for number in range(sent):
                assert str(await scene.peer.receive()).startswith(f"{number} ")
            await eventually(lambda: not scene.connection.buffered, "nothing waits any more")
            assert not scene.receiver.closes

        self.play(script, limits=ROOMY)

    def test_a_peer_that_does_not_read_is_dropped_once_the_outbox_overflows(self) -> None:
        async def script(scene: Scene) -> None:
            await fill(scene, until=LIMITS.outbox * 1000)
            assert (await scene.ended()).code == CloseCode.TRY_AGAIN_LATER

        self.play(script)

    def test_the_receiver_is_never_told_while_something_is_pushed(self) -> None:
        async def script(scene: Scene) -> None:
            await fill(scene, until=CHUNK)
            for _ in range((MUCH + LIMITS.outbox) // CHUNK):
                scene.connection.push(chunk(0))
            assert not scene.receiver.closes
            await scene.ended()

        self.play(script)

    @pytest.mark.parametrize("below", [1, CHUNK, 64 * 1024, MUCH])
    def test_one_can_wait_until_less_is_buffered(self, below: int) -> None:
        async def script(scene: Scene) -> None:
            sent = await fill(scene, until=MUCH + CHUNK)
            drained = asyncio.create_task(scene.connection.drained(below))
            await asyncio.sleep(0)
            assert not drained.done()
            scene.peer.resume_reading()
            numbers = [int(str(await scene.peer.receive()).split()[0]) for _ in range(sent)]
            assert numbers == list(range(sent))
            assert await drained
            scene.connection.push(text_frame("later"))
            assert await scene.peer.receive() == "later"

        self.play(script, limits=ROOMY)

    def test_what_is_buffered_falls_under_what_was_waited_for(self) -> None:
        async def script(scene: Scene) -> None:
            texts: list[str] = []

            async def read() -> None:
                while not texts or texts[-1] != "end":
                    texts.append(str(await scene.peer.receive()))

            reading = asyncio.create_task(read())
            for number in range(4 * MUCH // CHUNK):
                scene.connection.push(chunk(number))
                if number % 8 == 7:
                    assert await scene.connection.drained(CHUNK)
                    assert scene.connection.buffered < CHUNK
            scene.connection.push(text_frame("end"))
            await reading
            assert len(texts) == 4 * MUCH // CHUNK + 1

        self.play(script, limits=Limits(outbox=16 * CHUNK))

    def test_where_little_is_buffered_nobody_waits(self) -> None:
        async def script(scene: Scene) -> None:
            async with asyncio.timeout(5):
                assert await scene.connection.drained(1)
                scene.connection.push(text_frame("x" * 100))
                assert await scene.connection.drained(1)

        self.play(script)

    def test_several_wait_each_for_its_own_and_one_may_give_up(self) -> None:
        async def script(scene: Scene) -> None:
            sent = await fill(scene, until=MUCH + CHUNK)
            marks = (1, CHUNK, MUCH, 1)
            tasks = [asyncio.create_task(scene.connection.drained(below)) for below in marks]
            await asyncio.sleep(0)
            tasks[2].cancel()
            tasks[0].cancel()
            await asyncio.wait(tasks[:1])
            scene.peer.resume_reading()
            for _ in range(sent):
                await scene.peer.receive()
            assert await asyncio.gather(*tasks, return_exceptions=True) != [True] * 4
            assert [task.cancelled() or task.result() for task in tasks] == [True] * 4

        self.play(script, limits=ROOMY)

    @pytest.mark.parametrize("end", ["close", "abort", "overflow", "loss"])
    def test_who_waits_is_told_that_the_connection_ends(self, end: str) -> None:
        async def script(scene: Scene) -> None:
            await fill(scene, until=MUCH + CHUNK)
            drained = asyncio.create_task(scene.connection.drained(CHUNK))
            await asyncio.sleep(0)
            if end == "close":
                scene.connection.close(4000)
            elif end == "abort":
                scene.connection.abort(Close(4000))
            elif end == "loss":
                scene.peer.abort()
            else:
                for number in range(4 * MUCH // CHUNK):
                    scene.connection.push(chunk(number))
            async with asyncio.timeout(10):
                assert not await drained
                assert not await scene.connection.drained(CHUNK)

        self.play(script, limits=ROOMY)

    def test_a_single_message_over_the_limit_is_sent_if_nothing_waits(self) -> None:
        async def script(scene: Scene) -> None:
            text = "x" * (LIMITS.outbox * 3)
            scene.connection.push(text_frame(text))
            assert await scene.peer.receive() == text

        self.play(script)

    # While reading is paused

    def test_nothing_arrives_while_reading_is_paused_and_everything_afterwards_in_order(self) -> None:
        async def script(scene: Scene) -> None:
            expected: list[str | bytes | Pong] = []
            for number in range(300):
                text = f"{number} ".ljust(number * 37 % 3000)
                scene.peer.send_text(text)
                scene.peer.send_binary(b"%d" % number)
                scene.peer.pong(b"%d" % number)
                expected += [text, b"%d" % number, Pong(b"%d" % number)]
            await scene.roundtrip()
            assert scene.receiver.log == ["opened"]
            scene.connection.resume_reading()
            assert scene.receiver.log == ["opened"]
            await eventually(lambda: len(scene.receiver.log) > len(expected), "all arrives")
            assert scene.receiver.log[1:] == expected

        self.play(script, receiver=Recorder(pauses_at="opened"))

    @pytest.mark.parametrize("moment", ["text", "binary", "pong"])
    def test_reading_can_be_paused_by_what_arrives(self, moment: str) -> None:
        async def script(scene: Scene) -> None:
            rounds = 16 * LIMITS.max_message // CHUNK
            for number in range(rounds):
                scene.peer.send_text(f"{number} ".ljust(CHUNK))
                scene.peer.send_binary(b"%d" % number)
                scene.peer.pong(b"%d" % number)
            await eventually(lambda: len(scene.receiver.log) > 1, "the first arrives")
            await scene.roundtrip()
            assert len(scene.receiver.log) / 3 * CHUNK <= 4 * LIMITS.max_message, "a read buffer holds less"
            while len(scene.receiver.log) <= 3 * rounds:
                scene.connection.resume_reading()
                await asyncio.sleep(0)
            assert [str(text).split()[0] for text in scene.receiver.log[1::3]] == [str(n) for n in range(rounds)]
            assert scene.receiver.log[2::3] == [b"%d" % number for number in range(rounds)]

        self.play(script, receiver=Recorder(pauses_at=moment))

    def test_a_peer_is_sent_to_while_reading_is_paused(self) -> None:
        async def script(scene: Scene) -> None:
            scene.connection.push(text_frame("hello"))
            scene.connection.ping(b"are you there")
            assert [await scene.peer.receive(), await scene.peer.receive()] == ["hello", Ping(b"are you there")]

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

    # How it ends

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

    @pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000])
    def test_a_close_code_that_must_not_be_sent_is_answered_with_1002(self, code: int) -> None:
        async def script(scene: Scene) -> None:
            scene.peer.close(code)
            answer = await scene.peer.receive()
            assert isinstance(answer, Close)
            assert answer.code == CloseCode.PROTOCOL_ERROR
            assert (await scene.ended()).code == CloseCode.PROTOCOL_ERROR

        self.play(script)

    def test_a_peer_that_is_lost_is_1006(self) -> None:
        async def script(scene: Scene) -> None:
            scene.peer.abort()
            assert (await scene.ended()).code == CloseCode.ABNORMAL

        self.play(script)

    def test_what_was_pushed_before_a_close_leaves_first_and_nothing_after_it(self) -> None:
        async def script(scene: Scene) -> None:
            scene.connection.push(text_frame("before"))
            scene.connection.close(4000, "enough")
            scene.connection.push(text_frame("after"))
            scene.connection.ping(b"after")
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
            scene.peer.ping(b"late")
            assert await scene.peer.receive() == Close(4000)
            await scene.ended()
            assert scene.receiver.log == ["opened", Close(4000)]

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
            scene.connection.push(text_frame("hello?"))
            scene.connection.ping(b"hello?")
            scene.connection.close(4000)
            scene.connection.abort(Close(4000))
            assert not scene.connection.buffered

        self.play(script)
