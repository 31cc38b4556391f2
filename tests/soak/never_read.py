"""Clients that never read while a gibibyte is broadcast: they are dropped, and others are served meanwhile."""

from __future__ import annotations

import asyncio
import socket

from crosswire.testing.socket_peer import upgrade_request
from tests.soak.outcome import Outcome
from tests.support.attacks import Attacker, attacked_server, attacker, event, witness

TITLE = "a hundred clients never read, while a gibibyte is broadcast to everyone in messages of 64 KiB"
CLIENTS = 100
TOTAL = 1024 * 1024 * 1024
"""Bytes of all messages, counted once each."""
SIZE = 64 * 1024
EVICTED_WITHIN = 10.0
"""Seconds from the first message until no client that does not read is left."""
MAX_P99 = 100.0
"""Milliseconds, while they are evicted."""
MAX_RATIO = 1.5
"""By how much they may raise the p99 of a client that reads, over the whole broadcast."""
MAX_HELD = 4 * 1024 * 1024
"""Bytes that the server may hold for each of them."""
TIMEOUT = 120.0
"""Seconds for the whole broadcast."""
RECEIVE_BUFFER = 64 * 1024
"""Bytes that the kernel of each takes without anybody reading."""


async def run(clients: int = CLIENTS, total: int = TOTAL) -> Outcome:
    """Broadcast to clients that never read, and for comparison to none."""
    outcome = Outcome("never-read", TITLE)
    alone, _, _, _ = await _broadcast(0, total)
    p99, evicted, held, turn = await _broadcast(clients, total)
    outcome.limit("seconds until all were dropped", evicted, EVICTED_WITHIN, " s", 1)
    outcome.limit("memory of the server at most, for each", held / max(clients, 1) / 1024, MAX_HELD / 1024, " KiB")
    outcome.limit("p99 of a client that calls meanwhile", p99, MAX_P99, " ms", 1)
    outcome.limit(f"its ratio to {alone:.1f} ms in a broadcast without them", p99 / alone, MAX_RATIO, "", 2)
    outcome.note("the longest turn of the event loop meanwhile", f"{turn:.0f} ms of CPU time")
    return outcome


async def _broadcast(clients: int, total: int) -> tuple[float, float, int, float]:
    """Broadcast to clients that never read, and to one that does.

    Returns:
        The p99 of a witness in milliseconds, the seconds until all clients were dropped, the bytes of memory held, and
        the longest turn of the event loop in milliseconds of CPU time.
    """
    loop = asyncio.get_running_loop()
    async with attacked_server() as server, attacker(server, "user=teller") as teller:
        sockets = [await asyncio.to_thread(_join_and_never_read, server.port, number) for number in range(clients)]
        await _ask(teller, event("join", "shout", "j"), b'"j"')
        before = await server.memory(trim=True)
        await server.state()
        async with witness(server) as watching:
            begun = loop.time()
            shout = event("shout", {"size": SIZE, "count": total // SIZE}, "s")
            telling = asyncio.create_task(_ask(teller, shout, b'"callbackId":"s"'))
            evicted, most, turn = 0.0, before, 0.0
            while not telling.done():
                await asyncio.sleep(0.05)
                most = max(most, await server.memory())
                state = await server.state()
                turn = max(turn, state.longest_turn)
                if not evicted and state.connections <= 2:
                    evicted = loop.time() - begun
            await telling
            p99 = (await watching.result()).p99
        for each in sockets:
            each.close()
        return p99, evicted or loop.time() - begun, most - before, turn


def _join_and_never_read(port: int, number: int) -> socket.socket:
    """Connect a client and let it join the room; it reads no more than the answer to that."""
    own = socket.socket()
    own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    own.settimeout(TIMEOUT)
    own.connect(("127.0.0.1", port))
    own.sendall(upgrade_request(f"/?user=slow{number}") + event("join", "shout", "j"))
    received = b""
    while b'"j"' not in received:
        received += own.recv(4096)
    return own


async def _ask(raw: Attacker, request: bytes, answer: bytes) -> None:
    """Send a call, and read until its answer has come."""
    raw.send(request)
    async with asyncio.timeout(TIMEOUT):
        await raw.skip_to(answer)
