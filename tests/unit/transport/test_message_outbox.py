from __future__ import annotations

import asyncio
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.runtime.flusher import Flusher
from crosswire.transport.message_outbox import MessageOutbox, held_size, message_size
from crosswire.transport.slow_readers import SlowReaders
from crosswire.types import Close

LIMIT = 3 * held_size("abc")


class Ends:
    """A writer that takes what it is allowed to, and a listener for overflows."""

    def __init__(self, takes: int = 1000) -> None:
        self.outbox = MessageOutbox(self, Flusher(), LIMIT, self, SlowReaders(30))
        self.taken: list[str | bytes | Close] = []
        self.takes = takes
        self.overflows = 0
        self.fell_behind_at = 0.0

    def write(self) -> None:
        while len(self.taken) < self.takes and (message := self.outbox.take()) is not None:
            self.taken.append(message)
        if len(self.taken) >= self.takes:
            self.outbox.pause()

    def go_on(self) -> None:
        self.takes = 1000
        self.write()
        self.outbox.resume()

    def overflowed(self) -> None:
        self.overflows += 1

    def fell_behind(self) -> None:
        self.fell_behind_at = asyncio.get_running_loop().time()


async def held_up() -> Ends:
    """Return a writer that is held up after its first message."""
    ends = Ends(takes=1)
    ends.outbox.push(("first",))
    await asyncio.sleep(0)
    assert ends.taken == ["first"]
    return ends


async def test_what_a_turn_queues_is_written_at_its_end() -> None:
    ends = Ends()
    ends.outbox.push(("a", b"b"))
    ends.outbox.push(("c",))
    assert not ends.taken
    assert ends.outbox.buffered == 3
    await asyncio.sleep(0)
    assert ends.taken == ["a", b"b", "c"]
    assert not ends.outbox.buffered


async def test_what_the_limit_does_not_hold_is_written_at_once_while_the_peer_reads() -> None:
    ends = Ends()
    for number in range(8):
        ends.outbox.push((f"message {number}",))
    await asyncio.sleep(0)
    assert ends.taken == [f"message {number}" for number in range(8)]
    assert not ends.overflows


async def test_over_the_limit_everything_is_discarded_and_told_once_in_a_later_turn() -> None:
    ends = await held_up()
    ends.outbox.push(("x" * LIMIT,))
    ends.outbox.push(("y",))
    ends.outbox.push(("z",))
    assert not ends.overflows
    assert not ends.outbox.buffered
    await asyncio.sleep(0)
    ends.go_on()
    assert (ends.taken, ends.overflows) == (["first"], 1)


async def test_a_large_message_is_taken_if_nothing_waits() -> None:
    ends = await held_up()
    ends.outbox.push(("x" * LIMIT * 5,))
    assert ends.outbox.buffered == LIMIT * 5
    ends.go_on()
    ends.outbox.push(("y" * LIMIT,))
    await asyncio.sleep(0)
    assert [str(text)[0] for text in ends.taken] == ["f", "x", "y"]


async def test_the_close_is_the_last() -> None:
    ends = Ends()
    ends.outbox.push(("a",))
    ends.outbox.seal(Close(4000))
    ends.outbox.push(("late",))
    await asyncio.sleep(0)
    assert ends.taken == ["a", Close(4000)]


@pytest.mark.parametrize("end", ["seal", "discard"])
async def test_drained_waits_and_ends_with_the_outbox(end: str) -> None:
    ends = await held_up()
    ends.outbox.push(("abc",))
    drained = asyncio.create_task(ends.outbox.drained(3))
    lasting = asyncio.create_task(ends.outbox.drained(1))
    await asyncio.sleep(0)
    ends.outbox.push(("d",))
    ends.outbox.take()
    await asyncio.sleep(0)
    assert await drained
    assert not lasting.done()
    if end == "seal":
        ends.outbox.seal(Close(1000))
    else:
        ends.outbox.discard()
    assert not await lasting
    assert not await ends.outbox.drained(100)


@given(st.text())
def test_a_message_has_the_size_of_its_utf8(text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    assert message_size(data) == len(data)
    if not any("\ud800" <= letter <= "\udfff" for letter in text):
        assert message_size(text) == len(data)


@given(st.text() | st.binary())
def test_a_message_that_waits_counts_what_it_takes_in_memory(message: str | bytes) -> None:
    assert held_size(message) >= sys.getsizeof(message)
    assert held_size("x" * 1000 + "\N{PILE OF POO}") > 4000
