"""What waits for a client that does not read takes no more memory than its limit, whatever it consists of."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosswire import Limits
from crosswire.core.frames import Opcode
from tests.support.attacks import attacked_server, attacker, frame
from tests.support.certificates import tls_contexts

MIB = 1024 * 1024
OUTBOX = 4 * MIB
READING = 16 * MIB
"""Bytes that a flood may take on its way in, and what the allocator keeps."""
PINGS = frame(Opcode.PING, b"1") * 1000


def forget_peak(pid: int) -> None:
    """Let the peak of a process' memory begin anew; see proc(5)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_memory(pid: int) -> int:
    """Return the most bytes that a process has occupied."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("over_tls", [False, True])
async def test_pongs_that_are_not_read_take_no_more_than_the_outbox(over_tls: bool, tmp_path: Path) -> None:
    if over_tls:
        tls_contexts(tmp_path)
    async with attacked_server(limits=Limits(outbox=OUTBOX), certificate=tmp_path if over_tls else None) as server:
        async with attacker(server) as reading:  # what the first client makes it import is there already
            await reading.send(PINGS).frames(1)
        await server.wait_for(connections=0)
        before = await server.memory(trim=True)
        forget_peak(server.pid)
        async with attacker(server, receive_buffer=4096) as deaf:
            await deaf.flood(PINGS, times=20_000)
            await server.wait_for(connections=0)
        assert peak_memory(server.pid) - before < 2 * OUTBOX + READING
