"""Emitters in processes of their own, and in processes that are forked."""

from __future__ import annotations

import asyncio
import sys

import pytest

from crosswire import Redis
from tests.integration.cluster.support import clients, received, running_servers
from tests.integration.emitter import programs
from tests.integration.emitter.programs import MESSAGES, PROCESSES

RUN_TIMEOUT = 30.0

SENDERS = {
    "script": {"script": MESSAGES},
    "forks": {
        "before": 1,
        "thread": MESSAGES,
        "parent": MESSAGES,
        "after": 1,
        **{f"child {number}": MESSAGES for number in range(PROCESSES)},
    },
    "pool": {"before": 1, **{f"child {number}": MESSAGES for number in range(PROCESSES)}},
}


@pytest.mark.parametrize("name", SENDERS)
async def test_messages_of_a_process_arrive_once_and_in_order(redis_bus: Redis, name: str) -> None:
    async with running_servers(redis_bus, "a") as (a,), clients({"1": a}) as peers:
        arguments = (
            sys.executable,
            "-W",
            "error",
            "-W",
            "ignore::DeprecationWarning",
            "-m",
            programs.__name__,
            name,
            redis_bus.all_urls[0],
        )
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*arguments, redis_bus.prefix, stdout=pipe, stderr=pipe)
        async with asyncio.timeout(RUN_TIMEOUT):
            output = await process.communicate()
        assert (process.returncode, *output) == (0, b"", b"")
        a.everyone.send("end")
        expected = SENDERS[name]
        got = [(await peers["1"].receive("x", timeout=20)).data for _ in range(sum(expected.values()))]
        for sender, count in expected.items():
            assert [number for who, number in got if who == sender] == list(range(count))
        assert await received(peers["1"]) == []
        assert a.cluster.gaps == 0
        assert set(a.cluster.nodes) == {"a"}
