"""Floods of one connection, against a real server: no turn of its event loop is long, and others are answered.

A turn is bounded in CPU time. The latencies of others are measured by ``make soak``.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from crosswire import Limits
from crosswire.core.frames import Opcode
from crosswire.testing.socket_peer import upgrade_request
from tests.support.attacks import AttackedServer, attack, attacked_server, attacker, event, frame, witness
from tests.support.certificates import tls_contexts

LONGEST_TURN = 50
"""Milliseconds of CPU time that a turn may take, whatever one client sends."""
FLOOD_TIME = 0.3
"""Seconds that a flood lasts at most; one with less to say ends before."""

PONG = frame(Opcode.PONG)
PING = frame(Opcode.PING)
HEARTBEAT = frame(Opcode.TEXT)
TINY = frame(Opcode.TEXT, b"1")
CALL = event("echo", 1, "1")
FLOODS = [PONG, PING, HEARTBEAT, TINY, CALL, event("nobody"), event("tell", "x" * 100), event("busy")]


async def longest_turn_under(
    server: AttackedServer, flood: bytes, *, query: str = "user=attacker", before: bytes = b""
) -> float:
    """Send a flood without reading, as fast as the server takes it; return the longest turn meanwhile."""
    await server.state()
    async with attacker(server, query) as raw:
        chunk = flood * (1 + 256 * 1024 // len(flood))
        raw.send(before)
        await raw.flood(chunk, times=64, timeout=FLOOD_TIME)
    return (await server.state()).longest_turn


async def test_no_flood_of_small_frames_makes_a_turn_long() -> None:
    async with attacked_server(hooks=True) as server, witness(server) as others:
        for flood in FLOODS:
            for query in ("user=attacker", "user=pending"):
                assert await longest_turn_under(server, flood, query=query) < LONGEST_TURN, (flood, query)
        assert (await others.result()).calls > 100, "others were answered meanwhile"
        state = await server.state()
        assert state.log_lines < 100


async def test_no_flood_of_fragments_makes_a_turn_long_or_fills_the_memory() -> None:
    limits = Limits(fragments=1_000_000, max_message=1_000_000)
    async with attacked_server(limits=limits) as server:
        before = await server.memory()
        for payload in (b"", b"x"):
            first = frame(Opcode.TEXT, payload, final=False)
            longest = await longest_turn_under(server, frame(0, payload, final=False), before=first)
            assert longest < LONGEST_TURN
        async with attacker(server, "user=a") as raw:
            raw.send(frame(Opcode.TEXT, b"x", final=False))
            await raw.flood(frame(0, b"x", final=False) * 1000, times=400)
            await raw.flood(PING)
            await raw.frames(1)
            assert await server.memory() - before < 4 * 1024 * 1024


async def test_what_follows_a_close_or_a_broken_frame_makes_no_turn_long() -> None:
    async with attacked_server() as server:
        for end in (frame(Opcode.CLOSE, b"\x03\xe8"), frame(3), frame(Opcode.TEXT, b"\xff"), b"\x81\x00"):
            longest = await longest_turn_under(server, PONG, before=end)
            assert longest < LONGEST_TURN, end
            longest = await longest_turn_under(server, end + PONG)
            assert longest < LONGEST_TURN, end
        assert (await server.state()).log_lines < 50


async def test_what_comes_with_the_request_makes_no_turn_long() -> None:
    async with attacked_server(hooks=True) as server:
        for flood in (PONG, HEARTBEAT, CALL):
            await server.state()
            async with attacker(server, upgrade=False) as raw:
                await raw.flood(upgrade_request("/?user=a") + flood * 20_000, timeout=FLOOD_TIME)
            assert (await server.state()).longest_turn < LONGEST_TURN


async def test_many_connections_that_flood_together_make_no_turn_long() -> None:
    async with attacked_server(hooks=True) as server, witness(server) as others:
        attackers = [await attack(server, f"user={number}") for number in range(25)]
        await server.state()
        async with asyncio.TaskGroup() as group:
            for number, raw in enumerate(attackers):
                flood = FLOODS[number % 5] * 10_000
                group.create_task(raw.flood(flood, times=50, timeout=FLOOD_TIME))
        assert (await server.state()).longest_turn < LONGEST_TURN
        for raw in attackers:
            raw.reset()
        await server.wait_for(connections=1)
        assert (await others.result()).calls > 10


async def test_no_flood_over_tls_makes_a_turn_long(tmp_path: Path) -> None:
    tls_contexts(tmp_path)
    async with attacked_server(hooks=True, certificate=tmp_path) as server:
        for flood in (PONG, HEARTBEAT, CALL):
            assert await longest_turn_under(server, flood) < LONGEST_TURN


async def test_no_flood_over_asgi_makes_a_turn_long() -> None:
    async with attacked_server(hooks=True, asgi=True) as server:
        for flood in FLOODS:
            assert await longest_turn_under(server, flood) < LONGEST_TURN, flood


async def test_large_messages_make_no_turn_long() -> None:
    async with attacked_server() as server:
        for flood in (event("echo", "x" * 1_000_000, "1"), frame(Opcode.BINARY, bytes(1_000_000))):
            assert await longest_turn_under(server, flood) < LONGEST_TURN


async def test_a_hundred_connections_that_once_sent_a_large_message_do_not_keep_its_memory() -> None:
    async with attacked_server() as server:
        attackers = [await attack(server, f"user={number}") for number in range(100)]
        before = await server.memory(trim=True)
        for raw in attackers:
            await raw.flood(event("echo", "x" * (1024 * 1024 - 100)))
        await server.wait_for_counts(echo=100)
        await server.wait_for_memory(before + 8 * 1024 * 1024)
        for raw in attackers:
            assert (await raw.send(event("echo", 2, "7")).frames(1))[0].payload == b'{"payload":2,"callbackId":"7"}'
            await raw.close()
