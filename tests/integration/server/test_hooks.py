from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from crosswire import Close, Heartbeat, Server, Socket
from crosswire.core.listeners import AnyHook
from tests.integration.server.support import (
    CLOSE,
    HookRecorder,
    connect,
    make_server,
    raw_connect,
    raw_stream,
    upgrade_request,
)
from tests.support.aio import wait_until

HOOKS = [
    "on_connect",
    "on_disconnect",
    "on_message",
    "on_error",
    "on_pong",
    "on_heartbeat",
    "on_start",
    "on_listening",
    "on_stop",
]


def fail() -> None:
    raise ValueError("x")


async def trigger_every_hook(server: Server, *, times: int = 1) -> None:
    """Let every life event of a server happen at least once, or ``times``."""
    server.on("fail", fail)
    for _ in range(times):
        async with server, connect(server, "1") as peer:
            await peer.refused("fail")
            await peer.ws.pong(b"unasked")
            await peer.rest()


@pytest.mark.parametrize("name", HOOKS)
async def test_each_life_event_calls_its_hook(name: str) -> None:
    server, calls = make_server(), list[str]()
    hook: AnyHook = getattr(server, name)
    hook(lambda: calls.append("direct"))

    @hook
    def decorated() -> None:
        calls.append("decorated")

    @hook(tag="t")
    async def asynchronous() -> None:
        await asyncio.sleep(0)
        calls.append("async")

    await trigger_every_hook(server)
    assert calls[:3] == ["direct", "decorated", "async"]


@pytest.mark.parametrize("name", HOOKS)
async def test_a_hook_added_with_once_is_called_once(name: str) -> None:
    server, calls = make_server(), list[str]()
    hook: AnyHook = getattr(server, name)
    hook(lambda: calls.append("once"), once=True)
    hook(lambda: calls.append("always"))
    await trigger_every_hook(server, times=2)
    assert calls.count("once") == 1
    assert calls.count("always") >= 2


@pytest.mark.parametrize("name", HOOKS)
@pytest.mark.parametrize("form", ["server.off(hook)", "server.off(name)", "hook.off"])
@pytest.mark.parametrize("what", ["handler", "tag", "all"])
async def test_off_removes_hooks(name: str, form: str, what: str) -> None:
    server, calls = make_server(), list[str]()
    hook: AnyHook = getattr(server, name)

    def handler() -> None:
        calls.append("handler")

    hook(handler)
    hook(lambda: calls.append("tag"), tag=7)
    hook(lambda: calls.append("plain"))
    argument: Any = {"handler": handler, "tag": 7, "all": None}[what]
    off: Callable[[Any], None] = {
        "server.off(hook)": lambda which: server.off(hook, which),
        "server.off(name)": lambda which: server.off(name, which),
        "hook.off": hook.off,
    }[form]
    off(argument)
    await trigger_every_hook(server)
    kept = {"handler": ["tag", "plain"], "tag": ["handler", "plain"], "all": []}[what]
    assert calls[: len(kept) or 1] == kept


async def test_arguments_of_each_hook() -> None:
    server, got = make_server(), dict[str, tuple[Any, ...]]()

    def note(name: str) -> Callable[..., object]:
        return lambda *arguments: got.setdefault(name, arguments)

    for name in HOOKS:
        getattr(server, name)(note(name))
    async with server:
        assert got == {"on_start": (), "on_listening": ()}
        async with connect(server, "1") as peer:
            (socket,) = server.sockets
            assert got["on_connect"] == (socket,)
            await peer.rest()
            assert got["on_heartbeat"] == (socket,)
            assert "on_message" not in got  # the heartbeat is not a message
            await peer.send_text("raw text")
            await peer.ws.pong()
            await peer.rest()
            assert got["on_message"] == (socket, "raw text")
            assert got["on_pong"] == (socket,)
            server.on("fail", fail)
            await peer.refused("fail")
            assert got["on_error"][0] is socket
            assert repr(got["on_error"][1]) == "ValueError('x')"
            await peer.ws.close(4000, "bye")
        await wait_until(lambda: "on_disconnect" in got)
        assert got["on_disconnect"] == (socket, Close(4000, "bye"))
        assert "on_stop" not in got
    assert got["on_stop"] == ()


async def test_on_message_gets_frames_of_the_applications_own_protocol() -> None:
    server, got = make_server(), list[Any]()
    server.on_message(lambda socket, raw: got.append(raw))
    async with server, connect(server) as peer:
        await peer.ws.send("own text")
        await peer.ws.send(b"\x00\xff own bytes")
        await peer.ws.send(b"")
        await peer.send("event", 1)
        assert await peer.rest() == []
        assert got[:3] == ["own text", b"\x00\xff own bytes", b""]
        assert '"event"' in got[3]


async def test_no_message_of_a_client_triggers_a_hook() -> None:
    server, calls = make_server(), list[str]()
    for name in HOOKS:
        if name not in ("on_message", "on_heartbeat"):
            getattr(server, name)(lambda name=name: calls.append(name))
    async with server, connect(server) as peer:
        calls.clear()
        for name in (*HOOKS, *(name.removeprefix("on_") for name in HOOKS), "connection", "close", "off", "$connect"):
            await peer.send(name, {"id": "admin"}, callbackId="x")
            await peer.send(name)
        messages = await peer.rest()
        assert {message["error"]["code"] for message in messages} == {"NO_HANDLER"}
        assert calls == []


async def test_events_and_hooks_of_the_same_name_are_separate() -> None:
    server, calls = make_server(), list[str]()
    server.on_connect(lambda: calls.append("hook"))
    server.on("on_connect", lambda: calls.append("event"))
    async with server, connect(server) as peer:
        assert calls == ["hook"]
        await peer.call("on_connect")
        assert calls == ["hook", "event"]


@pytest.mark.parametrize(
    ("ending", "close"),
    [
        ("client closes", Close(4321, "why")),
        ("client closes without a code", Close(1005, "")),
        ("reset", Close(1006, "the connection was lost")),
        ("server closes", Close(4010, "out")),
        ("protocol error", Close(1002, "")),
    ],
)
async def test_on_disconnect_is_called_once_with_the_close(ending: str, close: Close) -> None:
    server = make_server()
    recorder = HookRecorder(server)
    async with server, raw_connect(server, "1") as peer:
        if ending == "client closes":
            peer.send(CLOSE, (4321).to_bytes(2, "big") + b"why")
        elif ending == "client closes without a code":
            peer.send(CLOSE, b"")
        elif ending == "reset":
            peer.writer.transport.abort()
        elif ending == "server closes":
            recorder.connected[0].close(4010, "out")
            peer.send(CLOSE, (4010).to_bytes(2, "big"))
        else:
            peer.send(0xB, b"")
        if ending != "reset":
            await peer.gone()
            peer.writer.close()
        await wait_until(lambda: recorder.closes)
        ((user, told),) = recorder.closes
        assert (user, told.code) == ("1", close.code)
        if close.reason:
            assert told.reason == close.reason
        assert server.sockets == ()


async def test_a_failed_hook_is_reported_to_on_error_and_does_not_stop_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server, calls = make_server(), list[str]()
    recorder = HookRecorder(server)
    for name in ("on_connect", "on_heartbeat", "on_message", "on_disconnect"):
        hook: AnyHook = getattr(server, name)
        hook(fail)

        @hook
        async def later(name: str = name) -> None:
            calls.append(name)

    async with server, connect(server, "1") as peer:
        await peer.send("x")
        assert await peer.rest() == []
        await peer.ws.close()
        await wait_until(lambda: len(calls) == 4)
        assert [type(error) for error in recorder.errors] == [ValueError] * 4
        assert "a hook failed" in caplog.text


async def test_on_error_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    server = make_server()
    server.on("fail", fail)
    server.on_error(fail)
    async with server, connect(server) as peer:
        assert (await peer.refused("fail"))[0] == "HANDLER_ERROR"
        assert "on_error failed" in caplog.text
        assert (await peer.refused("nothing"))[0] == "NO_HANDLER"


async def test_a_client_that_never_upgrades_is_no_connection() -> None:
    server = make_server(heartbeat=Heartbeat(interval=0.1, timeout=0.1))
    recorder = HookRecorder(server)
    async with server, raw_stream(server) as peer:
        peer.writer.write(upgrade_request()[:-2])
        await peer.writer.drain()
        peer.writer.close()
        async with connect(server) as other:
            await other.rest()
        await wait_until(lambda: recorder.closes)
        assert len(recorder.connected) == len(recorder.closes) == 1


async def test_a_hook_may_use_the_socket() -> None:
    server = make_server()

    @server.on_heartbeat
    async def echo(socket: Socket) -> None:
        socket.send("beat")

    async with server, connect(server) as peer:
        await peer.send_text("")
        assert await peer.receive_frame() == ""
        assert await peer.event() == ("beat", None)
