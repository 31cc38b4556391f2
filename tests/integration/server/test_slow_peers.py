"""Peers on slow lines: a slow transfer is a sign of life."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from crosswire import Heartbeat, Server, Socket
from tests.integration.server.support import (
    CONTINUATION,
    PING,
    TEXT,
    HookRecorder,
    RawPeer,
    client_frame,
    make_server,
    raw_connect,
    upgrade_request,
)
from tests.support.aio import wait_until

Place = Callable[[Server, Path], AbstractAsyncContextManager[RawPeer]]

SHORT_HEARTBEAT = Heartbeat(interval=0.3, timeout=0.6)
TRANSFER_TIME = 2.5
"""Seconds of a transfer: several times the timeout of the heartbeat."""


@asynccontextmanager
async def tcp(server: Server, _folder: Path) -> AsyncIterator[RawPeer]:
    async with raw_connect(server, "1") as peer:
        yield peer


@asynccontextmanager
async def unix(_server: Server, folder: Path) -> AsyncIterator[RawPeer]:
    reader, writer = await asyncio.open_unix_connection(folder / "s")
    peer = RawPeer(reader, writer)
    assert (await peer.request(upgrade_request("/?id=1")))[0] == 101
    yield peer
    writer.close()


def in_one_frame(step: int) -> bytes:
    return client_frame(TEXT, b'"' + b"x" * 498 + b'"')[step * 10 : step * 10 + 10]


def in_fragments(step: int) -> bytes:
    return client_frame(CONTINUATION if step else TEXT, b"x", fin=False)


def as_pings(_step: int) -> bytes:
    return client_frame(PING, b"")


@pytest.mark.parametrize("place", [tcp, unix])
@pytest.mark.parametrize("part", [in_one_frame, in_fragments, as_pings])
async def test_a_slow_upload_is_a_sign_of_life_until_it_stalls(
    place: Place, part: Callable[[int], bytes], tmp_path: Path
) -> None:
    server = make_server(heartbeat=SHORT_HEARTBEAT, **({"host": f"unix:{tmp_path}/s"} if place is unix else {}))
    recorder = HookRecorder(server)
    async with server, place(server, tmp_path) as peer:
        for step in range(50):
            peer.writer.write(part(step))
            await asyncio.sleep(TRANSFER_TIME / 50)
        assert not recorder.closes
        await wait_until(lambda: recorder.closes)
        assert recorder.closes[0][1].code == 1006


async def test_a_slow_download_is_a_sign_of_life_until_it_stalls() -> None:
    server = make_server(heartbeat=SHORT_HEARTBEAT)
    recorder = HookRecorder(server)
    async with server, raw_connect(server, "1", receive_buffer=4096) as peer:
        socket: Socket = recorder.connected[0]
        for _ in range(14):
            socket.send("part", "x" * 65_000)
        for _ in range(50):
            await peer.reader.read(10_000)
            await asyncio.sleep(TRANSFER_TIME / 50)
        assert not recorder.closes
        await wait_until(lambda: recorder.closes)
        assert recorder.closes[0][1].code == 1006
