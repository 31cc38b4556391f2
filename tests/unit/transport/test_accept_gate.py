"""Connections that wait in the kernel's queue while none can be accepted."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from typing import Any

import pytest

from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.transport.accept_gate import AcceptGate
from crosswire.transport.connection_servers import ConnectionServer
from tests.support.aio import wait_until


class FailingServer:
    """Server on a socket; the first ones can accept nothing."""

    accepted_at_once = 1

    def __init__(self, place: socket.socket) -> None:
        self._place = place

    def close(self) -> None:
        self._place.close()

    close_soon = close


async def test_a_gate_whose_servers_accept_nothing_says_so_and_tries_again_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tasks, servers = BackgroundTasks(), list[FailingServer]()

    async def start(place: socket.socket) -> ConnectionServer:
        servers.append(FailingServer(place))
        return servers[-1]

    gate = AcceptGate(start, lambda: True, tasks)
    bound: Any = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0, start_serving=False)
    await gate.serve(bound)
    with caplog.at_level(logging.WARNING):
        for number in (1, 2):
            gate.accept_failed(OSError(errno.ENOBUFS, "no buffer space"))
            assert gate.is_paused
            await wait_until(lambda count=number: len(servers) == 1 + count)  # type: ignore[misc]
            assert not gate.is_paused
    gate.close()
    await tasks.cancel()
    assert ["no buffer space" in each for each in caplog.messages] == [True]
