"""The contract of every transport: what leaves, and what waits for a peer that does not read."""

# ruff: noqa: D102 - the name of a test is its sentence

from __future__ import annotations

import asyncio

import pytest

from crosswire.core.limits import Limits
from crosswire.testing.recorder import eventually
from crosswire.testing.scene import CHUNK, LIMITS, MUCH, ROOMY, Scene, chunk, fill
from crosswire.testing.transport_stage import TransportStage
from crosswire.types import Close, CloseCode


class DepartureContract(TransportStage):
    """What is pushed."""

    def test_frames_leave_in_the_order_they_were_pushed(self) -> None:
        async def script(scene: Scene) -> None:
            expected = [f"{number} {'x' * (number * 37 % 3000)}" for number in range(300)]
            for number, text in enumerate(expected):
                scene.push_text(text)
                if number % 20 == 0:
                    await asyncio.sleep(0)
            assert [await scene.peer.receive() for _ in expected] == expected

        self.play(script, limits=ROOMY)

    def test_frames_of_one_turn_leave_in_one_write(self) -> None:
        async def script(scene: Scene) -> None:
            before = scene.harness.writes()
            for number in range(100):
                scene.push_text(str(number))
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
                scene.push_text(chunk(0))
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
            scene.push_text("later")
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
                scene.push_text(chunk(number))
                if number % 8 == 7:
                    assert await scene.connection.drained(CHUNK)
                    assert scene.connection.buffered < CHUNK
            scene.push_text("end")
            await reading
            assert len(texts) == 4 * MUCH // CHUNK + 1

        self.play(script, limits=Limits(outbox=16 * CHUNK))

    def test_where_little_is_buffered_nobody_waits(self) -> None:
        async def script(scene: Scene) -> None:
            async with asyncio.timeout(5):
                assert await scene.connection.drained(1)
                scene.push_text("x" * 100)
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
                    scene.push_text(chunk(number))
            async with asyncio.timeout(10):
                assert not await drained
                assert not await scene.connection.drained(CHUNK)

        self.play(script, limits=ROOMY)

    def test_a_single_message_over_the_limit_is_sent_if_nothing_waits(self) -> None:
        async def script(scene: Scene) -> None:
            text = "x" * (LIMITS.outbox * 3)
            scene.push_text(text)
            assert await scene.peer.receive() == text

        self.play(script)
