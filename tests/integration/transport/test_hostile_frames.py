"""Frames that nobody should send: each ends its connection with the right code, and others are served meanwhile."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from crosswire import Heartbeat
from crosswire.core.frames import Opcode
from crosswire.errors import ProtocolFailure, may_be_sent
from crosswire.transport.closing import read_close
from tests.integration.transport.hostile_frames import FIN, GROUPS, LIMITS, TEXT, HostileFrames
from tests.integration.transport.raw_connection import (
    EchoServer,
    RawConnection,
    close_frame,
    code_of,
    echo_server,
    frame,
    text,
)
from tests.support.aio import wait_until
from tests.support.certificates import tls_contexts

OFFER = ("Sec-WebSocket-Extensions", "permessage-deflate")


async def http_application(scope: Any, receive: Any, send: Any) -> None:
    """Serve nothing: an ASGI application on the server's port."""
    raise AssertionError(f"no request of this test is for the application: {scope}")


@asynccontextmanager
async def attacked(transport: str, directory: Path) -> AsyncIterator[tuple[EchoServer, ssl.SSLContext | None]]:
    """Run a server over a kind of transport; yield it, and the context that its clients need."""
    options: dict[str, Any] = {"compression": True}
    client_tls = None
    if transport == "TLS":
        options["tls"], client_tls = tls_contexts(directory)
    elif transport == "one port":
        options["app"] = http_application
    async with echo_server(LIMITS, **options) as echo:
        yield echo, client_tls


async def answer_to(raw: RawConnection, case: HostileFrames) -> str:
    """Send the frames of a case, and describe what comes if that is not the Close of the case, once."""
    await raw.upgrade(headers=[OFFER] if case.deflate else [])
    frames = await raw.send(case.sent).frames()
    *before, last = frames
    closes = [code_of(each) for each in frames if each.opcode is Opcode.CLOSE]
    echoes = [each for each in before if each.opcode in (Opcode.TEXT, Opcode.BINARY)]
    if closes != [case.code] or last.opcode is not Opcode.CLOSE:
        return f"{case.name}: {case.code} expected, {closes} came"
    if len(echoes) > 1:  # the whole message in front of the broken frame, at most
        return f"{case.name}: {len(echoes)} messages were received"
    return ""


@pytest.mark.parametrize("transport", ["TCP", "TLS", "one port"])
@pytest.mark.parametrize("group", GROUPS)
async def test_hostile_frames_end_their_connection_with_the_right_code(
    transport: str, group: str, tmp_path: Path
) -> None:
    async with attacked(transport, tmp_path) as (echo, tls), echo.connect(tls) as witness:
        await witness.upgrade()
        wrong, count = [], 0
        for case in GROUPS[group]():
            async with echo.connect(tls) as raw:
                wrong.append(await answer_to(raw, case))
            count += 1
            witness.send(frame(FIN | TEXT, b"%d" % count))
        await wait_until(lambda: len(echo.closes) == count)
        assert not list(filter(None, wrong))
        echoes = await witness.send(close_frame(1000)).frames()
        assert echoes[:-1] == [text(b"%d" % number) for number in range(1, count + 1)]


@pytest.mark.parametrize("split", [0, 1], ids=["behind a message", "in two pieces"])
@pytest.mark.parametrize("payload", [b"\x03", (1005).to_bytes(2, "big"), b"\x03\xe8\xff"])
async def test_the_reason_for_a_broken_close_is_the_same_however_it_comes(payload: bytes, split: int) -> None:
    async with echo_server() as echo, echo.connect() as raw, echo.connect() as alone:
        for each in (alone, raw):
            await each.upgrade()
        alone.send(frame(0x88, payload))
        if split:
            raw.send(frame(0x88, payload)[:split])
            await raw.drain()
            await alone.frames()
            raw.send(frame(0x88, payload)[split:])
        else:
            raw.send(frame(FIN | TEXT, b"x") + frame(0x88, payload))
        await wait_until(lambda: len(echo.closes) == 2)
        assert echo.closes[0] == echo.closes[1]
        assert "Received" not in echo.closes[0].reason


def test_each_close_code_is_answered_as_the_protocol_says() -> None:
    accepted, codes = [], set()
    for code in range(1 << 16):
        try:
            accepted.append(read_close(code.to_bytes(2, "big") + b"why").code)
        except ProtocolFailure as failure:
            codes.add(failure.close_code)
    assert codes == {1002}
    # RFC 6455, 7.4, and what IANA has registered since: 1012 to 1014.
    assert accepted == [1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)]
    assert all(map(may_be_sent, accepted))


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x81", id="a byte"),
        pytest.param(b"\x81\xfe\x01", id="half a length"),
        pytest.param(frame(FIN | TEXT, b"x" * 1000)[:-1], id="all but a byte"),
        pytest.param(frame(TEXT, b"x"), id="a fragment"),
        pytest.param(b"\x88\x82" + bytes(4) + b"\x03", id="half a close"),
    ],
)
async def test_half_of_a_frame_and_then_nothing_is_dropped_when_it_answers_no_ping(part: bytes) -> None:
    async with (
        echo_server(heartbeat=Heartbeat(interval=0.05, timeout=0.1, text="\0")) as echo,
        echo.connect() as raw,
    ):
        await raw.upgrade()
        raw.send(part)
        await wait_until(lambda: echo.closes)
        assert [close.code for close in echo.closes] == [1006]
        await asyncio.wait_for(raw.size_of_rest(), 5)
