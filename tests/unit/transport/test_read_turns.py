"""The turns of connections that have bytes waiting."""

from __future__ import annotations

import asyncio
import contextvars

import pytest

from crosswire.runtime import environment
from crosswire.transport.read_turns import LONG_TURN, QUANTUM, TURN_TIME, ReadTurns
from tests.support.aio import wait_until

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nothing")


class Reader:
    """Reader that needs a number of turns, and notes them."""

    def __init__(self, name: str, turns: int, log: list[str]) -> None:
        self.name, self.left, self.log = name, turns, log
        self.failed = False

    def serve(self, deadline: float) -> bool:
        self.log.append(self.name)
        self.left -= 1
        if self.left < 0:
            raise ValueError("a bug")
        return self.left > 0

    def fail(self) -> None:
        self.failed = True


async def test_each_has_its_turn_and_leaves_when_it_has_nothing_more() -> None:
    turns, log = ReadTurns(), list[str]()
    for name, count in (("a", 3), ("b", 1), ("c", 2)):
        turns.add(Reader(name, count, log))
    await wait_until(lambda: not turns)
    assert log == ["a", "b", "c", "a", "c", "a"]


async def test_a_turn_of_the_loop_ends_when_its_time_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    class Slow(Reader):
        def serve(self, deadline: float) -> bool:
            nonlocal now
            assert deadline - now == pytest.approx(QUANTUM)
            now += TURN_TIME / 4
            return super().serve(deadline)

    monkeypatch.setattr(environment, "perf_counter", lambda: now)
    turns, log = ReadTurns(), list[str]()
    for number in range(10):
        turns.add(Slow(str(number), 2, log))
    await asyncio.sleep(0)
    assert log == list("0123")
    await asyncio.sleep(0)
    assert log == list("01234567"), "the next turn goes on with the next one"
    await wait_until(lambda: not turns)


async def test_a_reader_that_fails_is_dropped_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    turns, log = ReadTurns(), list[str]()
    broken, sound = Reader("broken", 0, log), Reader("sound", 2, log)
    turns.add(broken)
    turns.add(sound)
    await wait_until(lambda: not turns)
    assert broken.failed
    assert not sound.failed
    assert "reading from a connection failed" in caplog.text


async def test_readers_are_served_in_the_context_of_the_listener() -> None:
    seen = list[str]()

    class Looking(Reader):
        def serve(self, deadline: float) -> bool:
            seen.append(variable.get())
            return False

    turns = ReadTurns()
    turns.begin()
    variable.set("a handler's")
    turns.add(Looking("", 1, []))
    await wait_until(lambda: seen)
    assert seen == ["nothing"]


async def test_large_reads_together_end_the_turn_and_the_next_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(environment, "perf_counter", lambda: now)
    turns = ReadTurns()
    for over in (False, True):
        began = now
        now += LONG_TURN * 0.6
        turns.count(began)
        assert turns.is_over is over
    await asyncio.sleep(0)
    assert not turns.is_over


async def test_a_turn_that_was_long_leaves_nothing_for_what_is_read_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now, log = 0.0, list[str]()

    class Heavy(Reader):
        def serve(self, deadline: float) -> bool:
            nonlocal now
            now += LONG_TURN
            return super().serve(deadline)

    monkeypatch.setattr(environment, "perf_counter", lambda: now)
    turns = ReadTurns()
    for name in "ab":
        turns.add(Heavy(name, 1, log))
    for served in ("a", "ab"):
        await asyncio.sleep(0)
        assert (turns.is_over, "".join(log)) == (True, served)
    await asyncio.sleep(0)
    assert not turns.is_over
