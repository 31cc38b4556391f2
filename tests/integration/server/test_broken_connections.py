"""Connections that are reset, or half closed, at every point of their life: no error is logged, nothing is left."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from crosswire import Limits
from crosswire.core.frames import Opcode
from crosswire.testing.socket_peer import upgrade_request
from tests.support.answering_program import ANSWER_TIMEOUT
from tests.support.attacks import AttackedServer, Attacker, attack, attacked_server, event, frame
from tests.support.certificates import tls_contexts

TIMES = 8
"""Connections that are broken at each point."""
QUICK = Limits(linger=0.3, close_timeout=0.3, handshake_timeout=ANSWER_TIMEOUT)
"""What a client breaks ends soon, and the time for a handshake is not over before that."""
REQUEST = upgrade_request("/?user=1")
CLOSE = frame(Opcode.CLOSE, b"\x03\xe8")
CALL = event("echo", "hi", "call-1")

Point = Callable[[AttackedServer], Awaitable[Attacker]]


def after(sent: bytes, *, answered: bool = False) -> Point:
    """Return a way to a point: bytes have been sent, and the head of the answer has come or was not waited for."""

    async def reach(server: AttackedServer) -> Attacker:
        raw = await attack(server, upgrade=False)
        raw.send(sent)
        if answered:
            await raw.read_until(b"\r\n\r\n")
        return raw

    return reach


async def before_tls(server: AttackedServer) -> Attacker:
    return Attacker(*await asyncio.open_connection("127.0.0.1", server.port))


async def within_tls(server: AttackedServer) -> Attacker:
    raw = await before_tls(server)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    assert server.tls is not None
    handshake = server.tls.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with suppress(ssl.SSLWantReadError):
        handshake.do_handshake()
    return raw.send(outgoing.read()[:-10])


async def in_the_closing_handshake(server: AttackedServer) -> Attacker:
    raw = await after(REQUEST, answered=True)(server)
    raw.send(CLOSE)
    await raw.frames(1)
    return raw


POINTS: dict[str, Point] = {
    "before the request": after(b""),
    "within the request": after(REQUEST[:30]),
    "behind the request": after(REQUEST),
    "with a message behind the request": after(REQUEST + CALL),
    "behind the 101": after(REQUEST, answered=True),
    "within a frame": after(REQUEST + CALL[:5], answered=True),
    "within a fragmented message": after(REQUEST + frame(Opcode.TEXT, b"a", final=False), answered=True),
    "behind a call": after(REQUEST + CALL, answered=True),
    "with a slow handler at work": after(REQUEST + event("slow"), answered=True),
    "with a close": after(REQUEST + CLOSE, answered=True),
    "in the closing handshake": in_the_closing_handshake,
    "while it is not let in": after(upgrade_request("/?user=pending"), answered=True),
    "behind a plain request": after(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"),
    "within a body": after(b"POST /publish HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nab"),
    "behind a refused request": after(b"GET / HTTP/1.1\r\n\r\n" + bytes(100_000)),
}


@pytest.mark.parametrize("over", ["TCP", "TLS"])
async def test_connections_that_break_at_any_point_leave_nothing(over: str, tmp_path: Path) -> None:
    points = dict(POINTS)
    certificate = None
    if over == "TLS":
        tls_contexts(tmp_path)
        certificate = tmp_path
        points |= {"before TLS": before_tls, "within TLS": within_tls}
    async with attacked_server(hooks=True, certificate=certificate, limits=QUICK) as server:
        await (await attack(server, "user=first")).close()
        before = await server.wait_for_rest()
        for reach in points.values():
            raws = await asyncio.gather(*(reach(server) for _ in range(TIMES)))
            for raw in raws:
                raw.reset()
        for reach in POINTS.values():
            raws = await asyncio.gather(*(reach(server) for _ in range(TIMES)))
            for raw in raws:
                await half_close(raw)
            await asyncio.gather(*(raw.close() for raw in raws))
        after_all = await server.wait_for(
            connections=0, teardowns=0, descriptors=before.descriptors, tasks=before.tasks, timers=before.timers
        )
        errors = [line for line in after_all.log if line.startswith(("ERROR", "CRITICAL")) or "Traceback" in line]
        assert errors == []
        assert after_all.log_lines - before.log_lines <= 20
        await (await attack(server, "user=last")).close()


async def half_close(raw: Attacker) -> None:
    """End the sending, and read what comes until the server ends the connection, or for a moment."""
    writer = raw._writer
    if writer.can_write_eof():
        with suppress(OSError):
            writer.write_eof()
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(0.05):
                while await raw._read():
                    pass
