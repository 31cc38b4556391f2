"""What one client makes a server keep is bounded, whatever it sends; measured as the memory of a real process."""

from __future__ import annotations

import asyncio

import pytest

from crosswire import Limits
from tests.support.attacks import AttackedServer, Attacker, attack, attacked_server, attacker, event, frame

MIB = 1 << 20
CONNECTIONS = 6
LONG_NAME = "\U0001f600" * 250
MOST = 4 * MIB
"""Bytes that a server holds for one connection at most, with the default limits."""
STARTUP = 8 * MIB
"""Bytes by which a process grows once, whatever comes: code, caches, freed memory that is not given back."""


def slow(payload: str) -> bytes:
    return frame(1, f'{{"event":"slow","callbackId":"1","payload":{payload}}}'.encode())


def array_of(item: str, size: int) -> str:
    return f"[{','.join([item] * (size // (len(item) + 1)))}]"


FLOODS = {
    "text": slow(f'"{"x" * (MIB - 200)}"'),
    "text with an emoji": slow(f'"{"x" * (MIB // 2)}\U0001f600"'),
    "lists": slow(array_of("[]", 60_000)),
    "short lists": slow(array_of("[]", 2_000)),
    "objects": slow(array_of('{"a":1}', 30_000)),
    "small calls": slow("1"),
}


async def flood(server: AttackedServer, query: str, data: bytes, total: int = 24 * MIB) -> list[Attacker]:
    """Let some connections send as much as they can; return them, still open."""
    attackers = [await attack(server, f"user={query}{number}") for number in range(CONNECTIONS)]
    await server.wait_for(connections=CONNECTIONS)
    times = min(total // len(data), 3000)
    await asyncio.gather(*[each.flood(data, times=times, timeout=0.7) for each in attackers])
    return attackers


CASES = [("", kind) for kind in FLOODS] + [("pending", "text"), ("pending", "small calls")]


@pytest.mark.parametrize(("query", "kind"), CASES)
async def test_what_waits_and_what_handlers_hold_is_bounded(kind: str, query: str) -> None:
    async with attacked_server() as server:
        before = await server.memory(trim=True)
        attackers = await flood(server, query, FLOODS[kind])
        held = await server.memory(trim=True) - before
        for each in attackers:
            await each.close()
        assert held < CONNECTIONS * MOST + STARTUP


@pytest.mark.parametrize("kind", ["text", "text with an emoji"])
async def test_all_that_one_client_can_do_together_is_bounded(kind: str) -> None:
    async with attacked_server() as server:
        before = await server.memory(trim=True)
        attackers = [await attack(server, f"user={'u' * 200}{number}") for number in range(CONNECTIONS)]
        for number, each in enumerate(attackers):
            for room in range(110):
                each.send(event("join", f"{LONG_NAME}{number}-{room}"))
            each.send(event("$background"))
        unread = event("echo", "x" * (MIB - 200), "1")
        await asyncio.gather(*[each.flood(unread, times=6, timeout=2) for each in attackers])
        await asyncio.gather(*[each.flood(FLOODS[kind], times=10, timeout=0.7) for each in attackers])
        held = await server.memory(trim=True) - before
        for each in attackers:
            await each.close()
        assert held < CONNECTIONS * MOST + STARTUP


@pytest.mark.parametrize("asgi", [False, True], ids=["own port", "uvicorn"])
async def test_handlers_of_connections_that_are_gone_end(asgi: bool) -> None:
    async with attacked_server(limits=Limits(linger=0.5), asgi=asgi) as server:
        attackers = [await attack(server, f"user={number}") for number in range(8)]
        await asyncio.gather(*[each.flood(event("slow") * 1000) for each in attackers])
        await server.wait_for(connections=8)
        for each in attackers:
            each.reset()  # which the server has to see without reading: the handlers are as many as may be
        state = await server.wait_for(connections=0, teardowns=0, timers=0)
        assert state.tasks < 10
        assert 8 * 100 <= state.counts["slow"] <= 8 * 400
        assert state.log_lines < 20 + 8 * asgi  # uvicorn tells of each connection


async def test_handlers_of_all_connections_are_bounded_together() -> None:
    async with attacked_server(limits=Limits(total_handlers=50)) as server:
        attackers = [await attack(server, f"user={number}") for number in range(10)]
        for each in attackers:
            await each.flood(event("slow") * 100)
        async with attacker(server, "user=late") as late:
            late.send(event("slow")).send(event("echo", 1, "1"))
            late.send(event("slow", None, "2"))
            await server.wait_for(connections=11)
            state = await server.state()
            while (later := await server.state()).counts != state.counts or later.counts["slow"] < 50:
                state = later
                await asyncio.sleep(0.05)
            assert 50 <= state.counts["slow"] <= 50 + 11 * 8  # a few for each connection, until it is noticed
        for each in attackers:
            await each.close()
