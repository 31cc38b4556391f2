"""Frames that nobody should send, against a real process: its memory grows by no more than the limits say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from crosswire.core.frames import Opcode
from tests.integration.transport.hostile_frames import FIN, MEBIBYTE, bomb, with_length
from tests.support.attacks import AttackedServer, attacked_server, attacker, frame

OFFER = [("Sec-WebSocket-Extensions", "permessage-deflate")]
ALLOWED = 4 * MEBIBYTE
"""Bytes that one connection may hold, whatever it does."""
SHARED = 2 * MEBIBYTE
"""Bytes by which the process may grow besides: modules, caches and pages of the allocator."""


@asynccontextmanager
async def measured(server: AttackedServer, connections: int = 1) -> AsyncIterator[None]:
    """Assert that the process has not grown by more than that many connections may hold."""
    before = await server.memory(trim=True)
    yield
    grown = await server.memory() - before
    assert grown <= connections * ALLOWED + SHARED, f"{grown / MEBIBYTE:.1f} MiB more"


async def send_to_many(server: AttackedServer, sent: bytes, count: int) -> list[int]:
    """Send bytes on one connection after the other; return the codes of the Closes."""
    codes = []
    for _ in range(count):
        async with attacker(server, headers=OFFER) as raw:
            codes.append(await raw.send(sent).closed())
    return codes


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        pytest.param(with_length(FIN | Opcode.TEXT, 127, (2**63 - 1).to_bytes(8, "big")), 1009, id="2^63-1 bytes"),
        pytest.param(with_length(FIN | Opcode.BINARY, 127, (2**40).to_bytes(8, "big")), 1009, id="2^40 bytes"),
        pytest.param(frame(Opcode.TEXT, b"x", final=False) + frame(0, final=False) * 200_000, 1009, id="fragments"),
        pytest.param(frame(Opcode.TEXT, b"x", final=False) + frame(0, b"x", final=False) * 200_000, 1009, id="bytes"),
        pytest.param(frame(Opcode.TEXT, bomb(1008 * MEBIBYTE), reserved=4), 1009, id="a bomb of a gibibyte"),
        pytest.param(frame(Opcode.BINARY, bomb(16 * MEBIBYTE), reserved=4), 1009, id="a bomb of 16 MiB"),
    ],
)
async def test_hostile_frames_cost_no_more_memory_than_one_connection_may_hold(sent: bytes, code: int) -> None:
    async with attacked_server(compression=True) as server:
        await send_to_many(server, frame(Opcode.CLOSE, b"\x03\xe8"), 5)
        async with measured(server):
            assert await send_to_many(server, sent, 20) == [code] * 20
        await server.wait_for(connections=0)
