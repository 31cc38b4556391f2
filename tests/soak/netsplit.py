"""A netsplit: each side sees another Redis for a while, and then both again."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from crosswire.testing.proxy import TcpProxy
from tests.faults.programs import Program
from tests.soak.listeners import Listener, listen
from tests.soak.nodes import meet, nodes
from tests.soak.outcome import Outcome

TITLE = "three nodes and two Redis; for a while one node reaches only the first Redis, the others only the second"
NAMES = ("a", "b", "c")
SIDES = (("a",), ("b", "c"))
"""The nodes that see the first Redis, and those that see the second."""
SECONDS = 30.0
NOTICED = 5.0
"""Seconds in which each side notices that the other is gone, and in the end that it is back."""
MESSAGES = 20
"""Messages that each node says before, during and after the split."""


async def run(seconds: float = SECONDS) -> Outcome:
    """Split the cluster for a time, and heal it."""
    outcome = Outcome("netsplit", TITLE)
    async with nodes() as started, AsyncExitStack() as stack:
        redis = [await started.redis() for _ in SIDES]
        cuts: list[TcpProxy] = []
        programs: dict[str, Program] = {}
        for name in NAMES:
            proxies = [await stack.enter_async_context(TcpProxy("127.0.0.1", each.port)) for each in redis]
            cuts += [proxy for proxy, side in zip(proxies, SIDES, strict=True) if name not in side]
            urls = [f"redis://127.0.0.1:{proxy.port}" for proxy in proxies]
            programs[name] = await started.start(name, urls=urls, paths=["one", "two"])
        for program in programs.values():
            await meet(program, NAMES)
        listeners = {name: await listen(started.ports[name], f"on-{name}") for name in NAMES}
        await _say(programs)
        older = await listen(started.ports["a"], "twice")
        for proxy in cuts:
            proxy.refuse()
            proxy.cut()
        apart = max([await meet(programs[name], side) for side in SIDES for name in side])
        outcome.limit("seconds until each side knew that the other was gone", apart, NOTICED, " s", 1)
        newer = await listen(started.ports["b"], "twice")
        await _say(programs)
        await asyncio.sleep(seconds)
        for proxy in cuts:
            proxy.refuse(False)
        back = max([await meet(program, NAMES) for program in programs.values()])
        outcome.limit("seconds until all knew each other again", back, NOTICED, " s", 1)
        await asyncio.sleep(1)
        await _say(programs)
        await asyncio.sleep(1)
        outcome.require("the older and the newer connection of a user", [_code(older), _code(newer)], [4012, None])
        _judge(outcome, listeners)
        for each in (*listeners.values(), older, newer):
            await each.leave()
    return outcome


async def _say(programs: dict[str, Program]) -> None:
    for program in programs.values():
        await program.ask(f"say {MESSAGES}", "said")
    await asyncio.sleep(0.5)


def _code(listener: Listener) -> int | None:
    return None if listener.close is None else int(listener.close.code)


def _judge(outcome: Outcome, listeners: dict[str, Listener]) -> None:
    for side in SIDES:
        for name in side:
            heard = listeners[name].heard
            everything = len(heard) == MESSAGES * (3 * len(side) + 2 * (len(NAMES) - len(side)))
            outcome.require(f"{name} heard all of its side, and the others before and after", everything, True)
    outcome.require("messages that came twice", sum(each.twice for each in listeners.values()), 0)
    outcome.require("messages out of order", sum(each.out_of_order for each in listeners.values()), 0)
