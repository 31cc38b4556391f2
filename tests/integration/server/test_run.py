"""``server.run()`` in a process of its own, and the signals that end it."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from crosswire import Server
from tests.integration.server.support import WAIT_TIMEOUT, connect

PROGRAM = """
import asyncio, logging, sys
from crosswire import Server

logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
server = Server("child", port=0, access_log=False)
server.on("echo", lambda socket, data: data)

@server.on("slow")
async def slow(socket, data):
    socket.send("begun")
    await asyncio.sleep(data)
    return "done"

@server.on_stop
def stopped():
    print("on_stop", flush=True)

server.run(drain=float(sys.argv[1]))
print("after run", flush=True)
"""


@asynccontextmanager
async def child(drain: float) -> AsyncIterator[tuple[asyncio.subprocess.Process, Server]]:
    """A process that runs a server, and a stand-in for the server that knows its port."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-c", PROGRAM, str(drain), stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 20)
        assert line.startswith(b"listening on ws://127.0.0.1:"), line
        yield process, Server("stand-in", port=int(line.rpartition(b":")[2]))
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    out, err = await asyncio.wait_for(process.communicate(), WAIT_TIMEOUT * 2)
    return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_the_server(number: signal.Signals) -> None:
    async with child(1) as (process, server), connect(server) as one, connect(server) as two:
        assert await one.call("echo", 5) == 5
        await two.rest()
        process.send_signal(number)
        assert (await one.closed()).code == (await two.closed()).code == 1001
        assert await ended(process) == (0, "on_stop\nstopped\nafter run\n", "")


async def test_sigterm_waits_for_handlers() -> None:
    async with child(10) as (process, server), connect(server) as peer:
        await peer.send("slow", 0.5, callbackId="x")
        assert await peer.event() == ("begun", None)
        process.send_signal(signal.SIGTERM)
        assert await peer.receive() == {"payload": "done", "callbackId": "x"}
        assert (await peer.closed()).code == 1001
        assert await ended(process) == (0, "on_stop\nstopped\nafter run\n", "")


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_the_drain(second: signal.Signals) -> None:
    loop = asyncio.get_running_loop()
    async with child(60) as (process, server), connect(server) as peer, connect(server) as idle:
        await peer.send("slow", 60)
        assert await peer.event() == ("begun", None)
        began = loop.time()
        process.send_signal(signal.SIGTERM)
        assert (await idle.closed()).code == 1001
        process.send_signal(second)
        code, out, err = await ended(process)
        assert (code, out.endswith("on_stop\nstopped\nafter run\n"), err) == (0, True, "")
        assert loop.time() - began < 10
        assert (await peer.closed()).code == 1001
