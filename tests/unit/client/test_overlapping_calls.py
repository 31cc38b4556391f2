"""Calls of ``connect``, ``close`` and ``reconnect`` that overlap."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from crosswire.client.open_close import SLOW_HOOK_TIME
from crosswire.transport.client_connection import ClientReceiver, ConnectTarget
from crosswire.transport.open_connection import OpenConnection
from tests.support.aio import wait_until
from tests.support.loops import on_instant_loop
from tests.unit.client.fake_client import FakeClient

pytestmark = on_instant_loop

READY = '{"event":"$ready","payload":null}'


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_reconnect_ends_an_attempt_though_the_one_before_it_has_ended_late() -> None:
    fake, dials = FakeClient(), list[ConnectTarget]()

    async def dial(target: ConnectTarget, _receiver: ClientReceiver) -> OpenConnection:
        dials.append(target)
        number = len(dials)
        never: asyncio.Future[OpenConnection] = asyncio.get_running_loop().create_future()
        try:
            return await never
        finally:
            if number == 1:
                await asyncio.sleep(0.1)

    fake.client.use_connector(dial)
    first = asyncio.create_task(fake.client.connect())
    await settle()
    closing = asyncio.create_task(fake.client.close())
    await asyncio.sleep(0)
    second = asyncio.create_task(fake.client.connect())
    await asyncio.sleep(1)
    fake.client.reconnect()
    await asyncio.sleep(1)
    assert len(dials) == 3
    await fake.client.close()
    await asyncio.wait({first, second, closing})
    assert first.exception() is not None
    assert second.exception() is not None


async def test_two_closes_that_give_up_a_hook_leave_the_next_one_alone() -> None:
    fake = FakeClient(announces=True)
    told, released = list[str](), asyncio.Event()

    async def connect() -> None:
        connecting = asyncio.create_task(fake.client.connect())
        await settle()
        fake.last.open()
        fake.last.receive(READY)
        await connecting

    @fake.client.on_open(once=True)
    async def never_end() -> None:
        while not released.is_set():
            with suppress(asyncio.CancelledError):
                await released.wait()

    @fake.client.on_close(once=True)
    async def end_later() -> None:
        told.append("close")
        await asyncio.sleep(0.5)
        told.append("close ended")

    await connect()
    fake.client.on_open(lambda: told.append("open"))
    closes = [asyncio.create_task(fake.client.close()) for _ in range(2)]
    await wait_until(lambda: told, timeout=3 * SLOW_HOOK_TIME)
    await connect()
    await asyncio.sleep(1)
    released.set()
    assert told == ["close", "close ended", "open"]
    await asyncio.wait(closes)
    await fake.client.close()
