"""Clients that send more than the rates of ``Limits`` allow, against a real server: they are read later."""

from __future__ import annotations

import asyncio
import time

import pytest

from crosswire import Heartbeat, Limits
from crosswire.core.frames import Opcode
from tests.support.attacks import attack, attacked_server, attacker, event, frame

CALLS = 150
RATE, BURST = 100, 50


@pytest.mark.parametrize("asgi", [False, True], ids=["own listener", "asgi"])
async def test_a_client_over_its_rate_is_read_later_loses_nothing_and_is_told_to_on_error_once(asgi: bool) -> None:
    limits = Limits(message_rate=RATE, burst=BURST)
    async with attacked_server(limits=limits, hooks=True, asgi=asgi) as server:
        async with attacker(server, "user=a") as raw, attacker(server, "user=b") as other:
            began = time.monotonic()
            raw.send(b"".join(event("echo", number, str(number)) for number in range(CALLS)))
            other.send(event("echo", 1, "1"))
            await other.frames(1)
            state = await server.state()
            assert state.counts["echo"] < CALLS, "the other was answered meanwhile"
            answers = await raw.frames(CALLS)
            took = time.monotonic() - began
        assert [each.payload for each in answers] == [
            b'{"payload":%d,"callbackId":"%d"}' % (number, number) for number in range(CALLS)
        ]
        assert took > (CALLS - BURST) / RATE * 0.9
        state = await server.state()
        assert 1 <= state.errors["EventError"] <= took + 1, "once a second"


async def test_control_frames_count_and_one_that_is_not_let_in_is_held_back_unseen() -> None:
    async with attacked_server(limits=Limits(message_rate=1000, burst=10), hooks=True) as server:
        async with attacker(server, "user=pending") as raw:
            began = time.monotonic()
            raw.send(b"".join(frame(Opcode.PING, b"%d" % number) for number in range(100)))
            pongs = [each.payload for each in await raw.frames(100) if each.opcode is Opcode.PONG]
            assert pongs == [b"%d" % number for number in range(100)]
            assert time.monotonic() - began > 90 / 1000
        assert not (await server.state()).errors


async def test_a_connection_that_is_held_back_is_not_taken_for_dead() -> None:
    limits, heartbeat = Limits(byte_rate=50_000), Heartbeat(interval=0.3, timeout=0.3)
    async with attacked_server(limits=limits, heartbeat=heartbeat) as server:
        async with attacker(server, "user=a") as raw:
            raw.send(event("echo", "x" * 130_000, "1") + event("echo", 2, "2"))
            answers = [each for each in await raw.frames(20) if each.opcode is Opcode.TEXT][:2]
            assert len(answers) == 2
        assert (await server.state()).counts["echo"] == 2


async def test_rates_hold_back_no_more_memory_than_a_read() -> None:
    async with attacked_server(limits=Limits(message_rate=1), heartbeat=Heartbeat(interval=0.5, timeout=2)) as server:
        attackers = [await attack(server, f"user={number}") for number in range(50)]
        before = await server.memory(trim=True)
        async with asyncio.TaskGroup() as group:
            for raw in attackers:
                group.create_task(raw.flood(event("echo") * 10_000, times=10, timeout=0.5))
        assert await server.memory(trim=True) - before < 50 * 80 * 1024 + 2 * 1024 * 1024
        for raw in attackers:
            raw.reset()
        await server.wait_for(connections=0)
