"""The order, within turns of the event loop, of appends and of fan-outs of records."""

from __future__ import annotations

import asyncio

import pytest

from crosswire.cluster.history.append_times import AppendTimes
from tests.support.loops import on_every_loop

pytestmark = on_every_loop


class Run:
    """What happens in the turns of a loop, noted in its order; an append notes what it has."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.times = AppendTimes()
        self.times.flush = self._append
        self._waiting: list[str] = []

    def _append(self) -> None:
        waiting, self._waiting = self._waiting, []
        self.seen.append(f"append {' '.join(waiting)}")

    def send(self, message: str) -> None:
        """Send a message, as a handler does."""
        self._waiting.append(message)
        self.times.schedule()

    def take_record(self, name: str, answer: str | None = None) -> None:
        """Take a record that is handed on at the end of the turn; the answer of a client is read after that."""
        asyncio.get_running_loop().call_soon(self._fan_out, name, answer)
        self.times.records_came()

    def _fan_out(self, name: str, answer: str | None) -> None:
        self.seen.append(f"fan-out {name}")
        if answer is not None:
            asyncio.get_running_loop().call_soon(self.send, answer)


async def turns(number: int = 8) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_what_is_sent_in_a_turn_without_records_is_appended_at_its_end() -> None:
    run = Run()
    run.send("1")
    asyncio.get_running_loop().call_soon(run.seen.append, "end of the turn")
    run.send("2")
    await turns()
    assert run.seen == ["append 1 2", "end of the turn"]


@pytest.mark.parametrize("is_sent_first", [False, True])
async def test_what_is_sent_in_a_turn_with_records_is_appended_with_what_is_read_after_their_fan_out(
    is_sent_first: bool,
) -> None:
    run = Run()
    if is_sent_first:
        run.send("1")
    run.take_record("a", answer="3")
    run.take_record("b")
    if not is_sent_first:
        run.send("1")
    run.send("2")
    await turns()
    assert run.seen == ["fan-out a", "fan-out b", "append 1 2 3"]


async def test_records_of_each_turn_do_not_put_off_an_append_twice() -> None:
    run = Run()

    def take_one_more(left: int) -> None:
        run.take_record(str(left))
        if left:
            asyncio.get_running_loop().call_soon(take_one_more, left - 1)

    run.send("1")
    take_one_more(8)
    await turns(20)
    assert "append 1" in run.seen[:4]
    assert len(run.seen) == 10


async def test_after_records_what_is_sent_in_a_later_turn_is_appended_at_its_end() -> None:
    run = Run()
    run.take_record("a")
    await turns()
    run.send("1")
    asyncio.get_running_loop().call_soon(run.seen.append, "end of the turn")
    await turns()
    assert run.seen == ["fan-out a", "append 1", "end of the turn"]
