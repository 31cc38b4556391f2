from __future__ import annotations

import asyncio
from typing import Any

import pytest

from crosswire import Close, ConfigError, Heartbeat, Socket
from tests.integration.server.support import PING, PONG, TEXT, HookRecorder, connect, make_server, raw_connect
from tests.support.aio import wait_until

FAST = Heartbeat(interval=0.2, timeout=0.6)


@pytest.mark.parametrize("text", ["", "ping", "{}", '{"event":"say"}', "é漢🎉"])
async def test_the_heartbeat_text_is_echoed_and_is_no_event(text: str) -> None:
    server, calls = make_server(heartbeat=Heartbeat(text=text)), list[str]()
    server.on("say", lambda: calls.append("say"))
    server.on_message(lambda: calls.append("message"))
    server.on_heartbeat(lambda: calls.append("beat"))
    async with server, connect(server) as peer:
        for _ in range(3):
            await peer.send_text(text)
        assert [await peer.receive_frame() for _ in range(3)] == [text] * 3
        assert calls == ["beat"] * 3


async def test_only_the_exact_text_is_a_heartbeat() -> None:
    server, beats = make_server(heartbeat=Heartbeat(text="ping")), list[int]()
    server.on_heartbeat(lambda: beats.append(1))
    async with server, connect(server, heartbeat="ping") as peer:
        for text in ("", "ping ", "PING", "pingping"):
            await peer.send_text(text)
        await peer.ws.send(b"ping")
        assert await peer.rest() == []
        assert beats == [1]


async def test_a_client_that_does_not_answer_is_dropped() -> None:
    server = make_server(heartbeat=FAST)
    recorder = HookRecorder(server)
    loop = asyncio.get_running_loop()
    async with server, raw_connect(server, "dead") as dead, connect(server, "alive") as alive:
        began = loop.time()
        assert (await dead.frame())[0] == PING
        await dead.gone()
        assert loop.time() - began < 5
        await wait_until(lambda: recorder.closes)
        ((user, close),) = recorder.closes
        assert (user, close.code) == ("dead", 1006)
        assert [socket.user for socket in server.sockets] == ["alive"]
        assert await alive.rest() == []


async def test_a_client_that_talks_but_sends_no_pong_is_kept() -> None:
    server = make_server(heartbeat=FAST)
    recorder = HookRecorder(server)
    async with server, raw_connect(server, "1") as peer:
        pings = 0
        while pings < 6:  # that takes longer than the patience
            opcode, _ = await peer.frame()
            if opcode == PING:
                pings += 1
                peer.send(TEXT, b"something")
        assert recorder.closes == []
        await peer.gone()  # now that it is silent


async def test_a_wrong_pong_shows_life_but_no_latency() -> None:
    server = make_server(heartbeat=FAST)
    recorder = HookRecorder(server)
    async with server, raw_connect(server, "1") as peer:
        for _ in range(4):
            assert (await peer.frame())[0] == PING
            peer.send(PONG, b"wrong")
        assert recorder.closes == []
        assert recorder.connected[0].latency is None


async def test_latency_is_the_pings_round_trip() -> None:
    server = make_server(heartbeat=FAST)
    recorder, pongs = HookRecorder(server), list[float | None]()
    server.on_pong(lambda socket: pongs.append(socket.latency))
    async with server, raw_connect(server, "1") as peer:
        socket = recorder.connected[0]
        assert socket.latency is None
        _, stamp = await peer.frame()
        await asyncio.sleep(0.05)
        peer.send(PONG, stamp)
        await wait_until(lambda: socket.latency is not None)
        assert socket.latency is not None
        assert 49 < socket.latency < 5_000
        assert pongs == [socket.latency]


async def test_a_client_that_answers_pings_stays_connected() -> None:
    server = make_server(heartbeat=Heartbeat(interval=0.1, timeout=0.5))
    recorder, pongs = HookRecorder(server), list[int]()
    server.on_pong(lambda: pongs.append(1))
    async with server, connect(server, "1") as peer:
        await wait_until(lambda: len(pongs) >= 6)
        assert recorder.closes == []
        assert await peer.rest() == []


async def test_pings_are_answered() -> None:
    server = make_server()
    async with server, raw_connect(server) as peer:
        for payload in (b"", b"hello", b"x" * 125):
            peer.send(PING, payload)
            assert await peer.frame() == (PONG, payload)


async def test_a_client_that_stays_in_the_background_is_closed() -> None:
    server = make_server(heartbeat=Heartbeat(background=0.1))
    server.on("away", lambda socket: socket.enter_background())
    server.on("back", lambda socket: socket.enter_foreground())

    @server.on("there and back")
    def there_and_back(socket: Socket) -> None:
        socket.enter_background()
        socket.enter_background()
        socket.enter_foreground()

    recorder = HookRecorder(server)
    async with server, connect(server, "away") as away, connect(server, "back") as back, connect(server, "not"):
        await back.call("there and back")
        await away.call("back")
        await away.call("away")
        assert await away.closed() == Close(4013, "in the background for too long")
        await wait_until(lambda: recorder.closes)
        assert [user for user, _ in recorder.closes] == ["away"]
        # Who came back may go again, and has the whole time again.
        await back.call("away")
        assert (await back.closed()).code == 4013
        assert [socket.user for socket in server.sockets] == ["not"]


async def test_a_client_may_announce_that_it_goes_to_the_background() -> None:
    server = make_server(heartbeat=Heartbeat(background=0.1))
    recorder = HookRecorder(server)
    async with server, connect(server, "away") as away, connect(server, "back") as back:
        await back.send("$background")
        await back.send("$foreground")
        await away.send("$foreground")
        await away.send("$background")
        assert await away.closed() == Close(4013, "in the background for too long")
        await wait_until(lambda: recorder.closes)
        assert [socket.user for socket in server.sockets] == ["back"]
        assert await back.refused("$background") == ("NO_HANDLER", "the server has no handler for this event")
        assert await back.rest() == []


async def test_background_of_a_socket_that_is_gone_does_nothing() -> None:
    server = make_server(heartbeat=Heartbeat(background=0.1))
    recorder = HookRecorder(server)
    async with server:
        async with connect(server, "1"):
            recorder.connected[0].enter_background()
        await wait_until(lambda: recorder.closes)
        recorder.connected[0].enter_background()
        recorder.connected[0].enter_foreground()
        async with connect(server, "2") as peer:
            recorder.connected[1].enter_background()
            assert (await peer.closed()).code == 4013


@pytest.mark.parametrize("name", ["interval", "timeout", "background"])
@pytest.mark.parametrize("value", [0, -1, "5", None, True])
def test_times_are_numbers_of_seconds(name: str, value: Any) -> None:
    with pytest.raises(ConfigError):
        Heartbeat(**{name: value})
