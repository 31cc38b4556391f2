"""Floods from one client: the calls of a well-behaved one take hardly longer than without."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from crosswire.core.frames import Opcode
from crosswire.testing.socket_peer import upgrade_request
from tests.integration.transport.hostile_frames import MEBIBYTE, bomb
from tests.soak.outcome import Outcome
from tests.support.attacks import AttackedServer, attacked_server, attacker, event, frame, witness

TITLE = "a client floods the server as fast as it is let, again and again; another one calls every 3 ms meanwhile"
SECONDS = 4.0
"""Seconds of each flood, and of the run without any."""
MAX_P99 = 100.0
"""Milliseconds."""
MAX_RATIO = 1.5
"""By how much a flood of valid messages may raise the p99 of another client."""
MAX_HOSTILE_RATIO = 1.2
"""By how much what closes the connection may raise it."""
TURNS_TIME = 10.0
"""Milliseconds up to which the p99 may be however short it is without a flood: a few turns of the event loop. An idle
server answers within 0.2 ms, and a call has to wait for the turn that is going on."""
QUERY = "user=flood"
OFFER = [("Sec-WebSocket-Extensions", "permessage-deflate")]
_BATCH = 64 * 1024

VALID: dict[str, bytes] = {
    "pings": frame(Opcode.PING, b"x" * 10),
    "pongs": frame(Opcode.PONG),
    "heartbeats": frame(Opcode.TEXT),
    "events": event("echo", "x" * 20),
    "calls": event("echo", "x" * 20, "1"),
    "events without a handler": event("nobody", 1),
    "bad messages": frame(Opcode.TEXT, b"no json"),
    "fragments": frame(Opcode.TEXT, b"1", final=False) + frame(0, b"2"),
}
"""Floods of one connection, which stays."""
HOSTILE: dict[str, bytes] = {
    "reserved opcodes": frame(0x3, b"x"),
    "lengths of 2^63-1": b"\x82\xff\x7f" + b"\xff" * 7 + bytes(4),
    "2,000 fragments": frame(Opcode.TEXT, b"", final=False) + frame(0, b"", final=False) * 2000,
    "bombs of a gibibyte": frame(Opcode.TEXT, bomb(1008 * MEBIBYTE), reserved=4),
}
"""Floods of connections, each of which is closed."""
REQUESTS: dict[str, bytes] = {
    "heads of 2,000 fields": b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 2000 + b"\r\n",
    "refused upgrades": upgrade_request("/").replace(b"Sec-WebSocket-Key", b"X-Key"),
    "bare line feeds": b"GET / HTTP/1.1\nHost: x\nX: a\0b\n\n",
}
"""Floods of connections that never become WebSockets."""


async def run(seconds: float = SECONDS) -> Outcome:
    """Run all floods, each against a server of its own, and the well-behaved client without one beside each."""
    outcome = Outcome("floods", TITLE)
    for names, kind, ratio in (
        (VALID, _flood, MAX_RATIO),
        (HOSTILE, _connections, MAX_HOSTILE_RATIO),
        (REQUESTS, _requests, MAX_HOSTILE_RATIO),
    ):
        for name, sent in names.items():
            alone, flooded, turn = await _compare(kind, sent, seconds)
            outcome.limit(f"p99 during {name}", flooded, MAX_P99, " ms", 1)
            outcome.limit(f"the same, beside {alone:.1f} ms without", flooded, max(ratio * alone, TURNS_TIME), " ms", 1)
            outcome.note("the longest turn of the event loop", f"{turn:.0f} ms of CPU time")
    return outcome


Flood = Callable[[AttackedServer, bytes], Coroutine[None, None, None]]


async def _compare(flood: Flood, sent: bytes, seconds: float) -> tuple[float, float, float]:
    """Return the p99 of a client without and with a flood, and the server's longest turn, in milliseconds."""
    async with attacked_server(compression=True) as server:
        before = await _quiet(server, seconds / 2)
        await server.state()
        async with witness(server) as watching:
            task = asyncio.create_task(flood(server, sent))
            await asyncio.sleep(seconds)
            flooded = (await watching.result()).p99
            task.cancel()
            await asyncio.wait([task])
        turn = (await server.state()).longest_turn
        # The machine may do other work for a while: what is compared is the worse of two times without a flood.
        return max(before, await _quiet(server, seconds / 2)), flooded, turn


async def _quiet(server: AttackedServer, seconds: float) -> float:
    """Return the p99 of a client without a flood, in milliseconds."""
    async with witness(server) as quiet:
        await asyncio.sleep(seconds)
        return (await quiet.result()).p99


async def _flood(server: AttackedServer, sent: bytes) -> None:
    """Flood one connection without reading; connect again when the server has had enough."""
    batch = sent * (_BATCH // len(sent) + 1)
    while True:
        async with attacker(server, QUERY) as raw:
            await raw.flood(batch, times=10_000_000, timeout=3600)


async def _connections(server: AttackedServer, sent: bytes) -> None:
    """Connect, send, wait for the Close, and connect again."""
    while True:
        async with attacker(server, QUERY, headers=OFFER) as raw:
            await raw.send(sent).closed()


async def _requests(server: AttackedServer, sent: bytes) -> None:
    """Connect, send a request, wait for the answer, and connect again."""
    while True:
        async with attacker(server, upgrade=False) as raw:
            await raw.send(sent).read_until(b"\r\n")
