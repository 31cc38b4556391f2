"""A clock that jumps by an hour, forward and back: nobody is taken for dead, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tests.faults.programs import Program
from tests.soak.listeners import Listener, listen
from tests.soak.nodes import Nodes, meet, nodes, state
from tests.soak.outcome import Outcome

TITLE = "three nodes on one Redis; the clock of one jumps an hour forward, back, and an hour into the past"
NAMES = ("a", "b", "c")
HOUR = 3600
JUMPS = (HOUR, 0, -HOUR, 0)
"""Seconds by which the clock of the first node is ahead, one after the other."""
WATCHED = 6.0
"""Seconds for which the cluster is watched after each jump: a silent member is taken for dead in two."""
MESSAGES = 20
"""Messages that each node says after each jump."""


async def run(watched: float = WATCHED, jumps: Sequence[int] = JUMPS) -> Outcome:
    """Let the clock jump.

    Args:
        watched: seconds after each jump.
        jumps: seconds by which it is ahead, one after the other.
    """
    outcome = Outcome("clock", TITLE)
    async with nodes() as started:
        redis = await started.redis()
        programs = await started.start_all(NAMES, urls=[redis.url])
        listeners = [await listen(started.ports[name], f"on-{name}") for name in NAMES]
        said = 0
        for seconds in jumps:
            await programs[0].ask(f"clock {seconds}", "clock")
            await asyncio.sleep(watched)
            said += await _say(programs)
            outcome.require(
                f"the newer of two logins, {seconds:+} s", await _log_in_twice(started, seconds), [4012, None]
            )
            late = await _join_late(started, seconds)
            outcome.limit(f"seconds until a new node knows all, {seconds:+} s", late, 5, " s", 1)
        await asyncio.sleep(0.5)
        states = [await state(program) for program in programs]
        await _judge(outcome, programs, listeners, said)
        outcome.require("gaps", sum(each["gaps"] for each in states), 0)
        for listener in listeners:
            await listener.leave()
    return outcome


async def _say(programs: list[Program]) -> int:
    for program in programs:
        await program.ask(f"say {MESSAGES}", "said")
    return len(programs) * MESSAGES


async def _log_in_twice(started: Nodes, seconds: int) -> list[int | None]:
    """Let a user connect to one node and then to another; return the codes of their ends.

    If the clock is ahead, the first one is the node with the wrong clock; if it is behind, the second.
    """
    order = ("b", "a") if seconds < 0 else ("a", "b")
    older = await listen(started.ports[order[0]], f"twice{seconds}")
    newer = await listen(started.ports[order[1]], f"twice{seconds}")
    await asyncio.wait([older.reader, newer.reader], timeout=5, return_when=asyncio.FIRST_COMPLETED)
    codes = [None if each.close is None else int(each.close.code) for each in (older, newer)]
    for each in (older, newer):
        await each.leave()
    return codes


async def _join_late(started: Nodes, seconds: int) -> float:
    """Start one more node meanwhile, and stop it; return the seconds until it knew all others."""
    urls = started.urls
    program = await started.start(f"late{seconds}", urls=urls)
    took = await meet(program, [*NAMES, f"late{seconds}"])
    await program.ask("stop 0", "stopped")
    return took


async def _judge(outcome: Outcome, programs: list[Program], listeners: list[Listener], said: int) -> None:
    mistaken = [line["name"] for program in programs for line in program.all("leave") if line["name"] in NAMES]
    outcome.require("nodes that were taken for dead", len(mistaken), 0)
    outcome.require("messages that every client heard", [len(each.heard) for each in listeners], [said] * len(NAMES))
    outcome.require("messages that came twice", sum(each.twice for each in listeners), 0)
    outcome.require("messages out of order", sum(each.out_of_order for each in listeners), 0)
