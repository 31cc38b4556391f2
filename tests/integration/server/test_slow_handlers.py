from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from crosswire import ConfigError, MemoryBus, Node, Server
from crosswire.testing import connect
from tests.integration.server import support
from tests.integration.server.support import make_server, raw_stream
from tests.support.aio import wait_until

LIMIT = 0.05


def hold(*_arguments: Any) -> None:
    time.sleep(2 * LIMIT)  # that it holds the event loop is what is tested


async def hold_first() -> None:
    hold()
    await asyncio.sleep(0)


async def hold_later() -> None:
    for _ in range(3):
        await asyncio.sleep(0)
    hold()


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "held the event loop" in record.getMessage()]


@pytest.mark.parametrize("handler", [hold, hold_first, hold_later])
async def test_a_handler_that_holds_the_loop_is_named_once(handler: Any, caplog: pytest.LogCaptureFixture) -> None:
    server = make_server(slow_handler=LIMIT)
    server.on("slow", lambda: hold() if handler is hold else handler())
    server.on("quick", lambda: None)
    async with connect(server, "/?id=1") as client:
        for _ in range(2):
            await client.call("quick")
            await client.call("slow")
    (line,) = told(caplog)
    assert "'slow'" in line


@pytest.mark.parametrize("handler", [hold, hold_first, hold_later])
@pytest.mark.parametrize(
    "hook", ["on_start", "on_connect", "on_message", "on_heartbeat", "on_disconnect", "on_error", "on_stop"]
)
async def test_a_hook_that_holds_the_loop_is_named(hook: str, handler: Any, caplog: pytest.LogCaptureFixture) -> None:
    server = make_server(slow_handler=LIMIT)
    getattr(server, hook)((lambda: hold()) if handler is hold else handler)
    server.on("fails", lambda: 1 / 0)
    async with server, support.connect(server, "1") as peer:
        await peer.send("fails")
        await peer.rest()  # with a heartbeat
        if hook in ("on_message", "on_heartbeat", "on_error"):
            await wait_until(lambda: told(caplog))
    (line,) = told(caplog)
    assert repr(hook) in line


async def slow_later(*_arguments: Any) -> str:
    await hold_later()
    return "1"


def slow_at_once(*_arguments: Any) -> str:
    hold()
    return "1"


@pytest.mark.parametrize("hook", [slow_at_once, slow_later])
async def test_authenticate_and_several_handlers_are_watched(hook: Any, caplog: pytest.LogCaptureFixture) -> None:
    server = Server("a", port=0, slow_handler=LIMIT)
    server.authenticate(hook)
    server.on("x", lambda: None)
    server.on("x", lambda: hold())
    async with connect(server) as client:
        await client.call("x")
    assert len(told(caplog)) == 2
    for what in ("authenticate", "x"):
        assert sum(repr(what) in line for line in told(caplog)) == 1


async def test_a_page_is_watched(caplog: pytest.LogCaptureFixture) -> None:
    server = make_server(slow_handler=LIMIT)
    server.get("/page", slow_at_once)
    async with server, raw_stream(server) as peer:
        assert (await peer.request(b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n"))[0] == 200
    assert "'GET /page'" in told(caplog)[0]


async def test_none_switches_the_warnings_off(caplog: pytest.LogCaptureFixture) -> None:
    server = make_server(slow_handler=None)
    server.on("slow", lambda: hold())
    async with connect(server, "/?id=1") as client:
        await client.call("slow")
    assert told(caplog) == []


@pytest.mark.parametrize("handler", [hold, hold_first, hold_later])
async def test_a_node_s_handlers_hooks_and_channels_are_watched(handler: Any, caplog: pytest.LogCaptureFixture) -> None:
    slow: Any = (lambda: hold()) if handler is hold else handler
    bus = MemoryBus()
    node, other = Node("n", bus=bus, slow_handler=LIMIT), Node("o", bus=bus)
    node.on("asked", slow)
    node.on("told", lambda: None)
    node.on("told", slow)
    node.on_join(slow)
    async with node, other:
        await node.subscribe("channel", slow)
        await other.call("n", "asked")
        other.send("told", to="n")
        other.publish("channel")
        await wait_until(lambda: len(told(caplog)) == 4)
    for what in ("on_join", "asked", "told", "channel"):
        assert sum(repr(what) in line for line in told(caplog)) == 1


@pytest.mark.parametrize("value", [0, -0.1, True, "fast"])
def test_an_invalid_limit_is_refused(value: Any) -> None:
    for make in (Server, Node):
        with pytest.raises(ConfigError, match="slow_handler"):
            make(slow_handler=value)
