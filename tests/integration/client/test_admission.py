"""A client is connected once it is let in, by a server that sends ``$ready`` or one that does not."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest
from websockets.asyncio.server import ServerConnection

from crosswire import Client, Close, Handshake, NotConnected, Refused, Reject, Server
from crosswire.client import admission
from tests.integration.client.fake_server import FakeServer
from tests.integration.client.helpers import HookRecorder, quick_client
from tests.support.aio import wait_until


def url_of(server: Server) -> str:
    return f"ws://127.0.0.1:{server.port}/"


def refuses(how: str) -> Server:
    """A server that lets nobody in."""
    server = Server("test", port=0)
    if how == "on_connect":
        server.on_connect(lambda socket: socket.close(4011, "Auth failure"))
    elif how == "later":

        @server.authenticate
        async def later(handshake: Handshake) -> str:
            await asyncio.sleep(0.01)
            raise Reject(4011, "Auth failure")

    else:

        @server.authenticate
        def at_once(handshake: Handshake) -> str:
            raise Reject(status=401) if how == "status" else Reject(4011, "Auth failure")

    return server


@pytest.mark.parametrize("how", ["at once", "later", "on_connect", "status"])
async def test_connect_raises_a_refusal(how: str) -> None:
    async with refuses(how) as server:
        client = Client(url_of(server))
        recorder = HookRecorder(client)
        with pytest.raises(Refused) as caught:
            async with client:
                pytest.fail("the client was let in")
        expected = (1008, "HTTP 401", 401) if how == "status" else (4011, "Auth failure", None)
        assert (caught.value.code, caught.value.reason, caught.value.status) == expected
        assert caught.value.close == Close(*expected[:2])
        assert recorder.events == (["error"] if how == "status" else ["open", "close"])
        assert not client.reconnecting
        with pytest.raises(NotConnected) as later:
            client.send("say")
        assert later.value.close == Close(*expected[:2])
        await client.close()


async def test_connect_returns_when_the_client_is_let_in() -> None:
    go = asyncio.Event()
    server = Server("test", port=0)
    server.on("say", lambda socket, data: data)

    @server.authenticate
    async def slowly(handshake: Handshake) -> str:
        await go.wait()
        return "13"

    async with server:
        client = Client(url_of(server))
        recorder = HookRecorder(client)
        connecting = asyncio.create_task(client.connect())
        await wait_until(lambda: recorder.events)
        answer = asyncio.create_task(client.call("say", 1))
        await asyncio.sleep(1.5)  # longer than a server that says nothing is waited for
        assert not connecting.done()
        assert not answer.done()
        go.set()
        await connecting
        assert server.socket_of("13") is not None
        assert await answer == 1
        await client.close()


async def test_delays_grow_while_authentication_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL, "crosswire.server")

    server = Server("test", port=0)

    @server.authenticate
    async def broken(handshake: Handshake) -> str:
        await asyncio.sleep(0)
        raise RuntimeError("the database is down")

    async with server:
        client = quick_client(url_of(server), retry_limit=3)
        recorder = HookRecorder(client)
        with pytest.raises(NotConnected, match=r"gave up after 3 attempts.*1011") as caught:
            await client.connect()
        assert caught.value.close is not None
        assert caught.value.close.code == 1011
        assert [attempt for attempt, _ in recorder.retries] == [1, 2, 3]
        assert recorder.count("open") == recorder.count("close") == 4


@pytest.mark.parametrize("original", [False, True], ids=["ours", "another"])
@pytest.mark.parametrize("end", [1000, 1001, 1012, 1013, "lost", "says something"])
async def test_delays_grow_while_a_server_accepts_and_closes(original: bool, end: int | str) -> None:
    async def script(connection: ServerConnection) -> None:
        if end == "says something":
            await connection.send('{"event":"welcome"}')
        if end == "lost":
            connection.transport.abort()
        else:
            await connection.close(1001 if isinstance(end, str) else end)

    async with FakeServer() as server:
        server.original, server.lets_in = original, False
        server.script = script
        client = quick_client(server.url, retry_limit=4)
        recorder = HookRecorder(client)
        client.reconnect(reset=True)
        await wait_until(lambda: recorder.count("give up 4"))
        assert [attempt for attempt, _ in recorder.retries] == [1, 2, 3, 4]
        assert len(server.connections) == 4
        await client.close()


async def test_a_server_that_announces_nothing_is_waited_for_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(connection: ServerConnection) -> None:
        if len(server.connections) == 2:
            await connection.send('{"event":"welcome"}')
        if len(server.connections) == 3:
            await connection.close(4011, "Auth failure")

    async with FakeServer() as server:
        server.original = True
        server.script = script
        client = Client(server.url)
        began = time.perf_counter()
        async with client:
            assert time.perf_counter() - began >= 1
        monkeypatch.setattr(admission, "ASSUME_READY_AFTER", 600)
        async with client:
            pass
        with pytest.raises(Refused) as caught:
            await client.connect()
        assert caught.value.close == Close(4011, "Auth failure")


@pytest.mark.parametrize("status", [403, 404])
async def test_a_proxy_without_a_server_is_tried_again_after_a_loss(status: int) -> None:
    async with FakeServer() as server:
        client = quick_client(server.url)
        recorder = HookRecorder(client)
        await client.connect()
        server.refuse_with = status
        server.drop_all()
        await wait_until(lambda: len(recorder.errors) >= 3)
        assert all(isinstance(each, Refused) and each.status == status for each in recorder.errors)
        assert [attempt for attempt, _ in recorder.retries][:3] == [1, 2, 3]
        server.refuse_with = None
        await wait_until(lambda: recorder.count("open") == 2)
        await client.close()
        server.refuse_with = status  # a first attempt again: the URL may be wrong
        with pytest.raises(Refused):
            await client.connect()


async def test_a_policy_may_take_these_statuses_as_final() -> None:
    asked: list[Close] = []

    def policy(close: Close) -> bool:
        asked.append(close)
        return close.reason != "HTTP 404"

    async with FakeServer() as server:
        client = quick_client(server.url, reconnect_policy=policy)
        recorder = HookRecorder(client)
        await client.connect()
        server.refuse_with = 404
        server.drop_all()
        await wait_until(lambda: recorder.errors)
        assert asked[-1] == Close(1006, "HTTP 404")
        assert not client.reconnecting
        with pytest.raises(NotConnected) as caught:
            client.send("say")
        assert caught.value.close == Close(1008, "HTTP 404")


@pytest.mark.parametrize("option", ["params", "headers"])
async def test_an_expired_token_is_renewed_by_the_next_attempt(option: str) -> None:
    tokens = iter(["old", "expired", "new"])
    async with FakeServer() as server:

        async def fresh() -> dict[str, str]:
            await asyncio.sleep(0)
            token = next(tokens)
            server.refuse_with = 401 if token == "expired" else None
            return {"token": token}

        client = quick_client(server.url, **{option: fresh})
        recorder = HookRecorder(client)
        await client.connect()
        server.drop_all()
        await wait_until(lambda: recorder.count("open") == 2)
        assert [each.status for each in recorder.errors if isinstance(each, Refused)] == [401]
        sent = [each.path + str(each.headers) for each in server.requests]
        assert ["old" in sent[0], "expired" in sent[1], "new" in sent[2]] == [True] * 3
        await client.close()
