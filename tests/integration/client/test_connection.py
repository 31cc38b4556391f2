from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from crosswire.client import Client
from crosswire.errors import NotConnected, Refused
from crosswire.transport.client_connection import ConnectTarget
from crosswire.types import Close
from tests.integration.client.fake_server import FakeServer, SilentServer
from tests.integration.client.helpers import HookRecorder, quick_client
from tests.support.aio import wait_until
from tests.support.certificates import tls_contexts
from tests.support.loops import on_asyncio


async def test_connects_and_closes_with_4001() -> None:
    async with FakeServer() as server:
        client = Client(server.url)
        recorder = HookRecorder(client)
        async with client:
            assert recorder.events == ["open"]
            await client.connect()
            assert len(server.connections) == 1
        assert recorder.events == ["open", "close"]
        assert recorder.closes == [Close(4001, "closed by the client")]
        await wait_until(lambda: server.last.close_code == 4001)
        assert not client.reconnecting


async def test_params_headers_and_host_are_sent() -> None:
    async with FakeServer() as server:
        url = f"{server.url}chat?v=2"
        headers = {"Authorization": "Bearer x", "Host": "chat.example"}
        async with Client(url, params={"id": "13", "tag": ["a b", "ü"]}, headers=headers):
            [request] = server.requests
            assert request.path == "/chat?v=2&id=13&tag=a+b&tag=%C3%BC&_cw=2"
            assert request.headers["Authorization"] == "Bearer x"
            assert request.headers.get_all("Host") == ["chat.example"]


async def test_a_client_can_be_connected_again_after_close() -> None:
    async with FakeServer() as server:
        client = quick_client(server.url)
        for count in (1, 2):
            async with client:
                client.send("hello")
                await wait_until(lambda count=count: len(server.messages) == count)  # type: ignore[misc]


async def test_several_calls_of_connect_share_one_connection() -> None:
    async with FakeServer() as server:
        client = quick_client(server.url)
        await asyncio.gather(client.connect(), client.connect(), client.connect())
        assert len(server.connections) == 1
        await asyncio.gather(client.close(), client.close())
        await client.close()


async def test_connect_keeps_trying_until_the_server_is_there() -> None:
    server = FakeServer()
    async with server:
        pass
    client = quick_client(server.url)
    recorder = HookRecorder(client)
    connecting = asyncio.create_task(client.connect())
    await wait_until(lambda: len(recorder.retries) >= 2)
    assert not client.reconnecting
    assert not connecting.done()
    async with server:
        await connecting
        assert isinstance(recorder.errors[0], NotConnected)
        assert [attempt for attempt, _ in recorder.retries] == list(range(1, len(recorder.retries) + 1))
        await client.close()


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_an_upgrade_refused_for_good_raises_at_once(status: int) -> None:
    async with FakeServer() as server:
        server.refuse_with = status
        client = quick_client(server.url, params={"token": "secret"})
        recorder = HookRecorder(client)
        with pytest.raises(NotConnected, match=f"HTTP {status}") as caught:
            await client.connect()
        assert isinstance(caught.value, Refused)
        assert (caught.value.code, caught.value.reason, caught.value.status) == (1008, f"HTTP {status}", status)
        assert "secret" not in str(caught.value)
        assert recorder.events == ["error"]
        assert len(server.requests) == 1
        await client.close()


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
async def test_an_upgrade_refused_for_now_is_tried_again(status: int) -> None:
    async with FakeServer() as server:
        server.refuse_with = status
        client = quick_client(server.url)
        connecting = asyncio.create_task(client.connect())
        await wait_until(lambda: len(server.requests) >= 2)
        server.refuse_with = None
        await connecting
        await client.close()


async def test_a_server_without_websocket_is_reported_as_such() -> None:
    async def nonsense(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(nonsense, "127.0.0.1", 0)
    async with server:
        client = quick_client(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", retry_limit=1)
        with pytest.raises(NotConnected, match="gave up after 1 attempts"):
            await client.connect()
        await client.close()


async def test_an_attempt_that_gets_no_answer_is_given_up() -> None:
    async with SilentServer() as server:
        client = quick_client(server.url, retry_limit=1)
        client._reconnection._connect_timeout = 0.05
        with pytest.raises(NotConnected, match="no answer within"):
            await client.connect()
        await wait_until(lambda: server.taken == 2 and server.open == 0)
        await client.close()


async def test_close_while_the_upgrade_is_under_way() -> None:
    async with SilentServer() as server:
        client = Client(server.url)
        recorder = HookRecorder(client)
        connecting = asyncio.create_task(client.connect())
        await wait_until(lambda: server.open == 1)
        await client.close()
        with pytest.raises(NotConnected, match="closed by the client"):
            await connecting
        await wait_until(lambda: server.open == 0)
        assert recorder.events == []


async def test_a_cancelled_connect_leaves_nothing() -> None:
    async with SilentServer() as server:
        client = Client(server.url)
        connecting = asyncio.create_task(client.connect())
        await wait_until(lambda: server.open == 1)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        await wait_until(lambda: server.open == 0)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 0, 2]], ids=str)
async def test_attempts_end_when_nobody_waits_for_them_any_more(order: list[int]) -> None:
    async with FakeServer() as server:
        server.lets_in = False
        client = quick_client(server.url)
        recorder = HookRecorder(client)
        waiting = [asyncio.create_task(client.connect()) for _ in order]
        await wait_until(lambda: recorder.count("open") == 1)
        for each in order:
            waiting[each].cancel()
        await asyncio.wait(waiting)
        assert all(each.cancelled() for each in waiting)
        assert recorder.events == ["open", "close"]
        assert not client.reconnecting
        server.lets_in = True
        await client.connect()  # it can be used as before
        await client.close()


async def test_a_cancelled_connect_does_not_cancel_another() -> None:
    async with FakeServer() as server:
        server.refuse_with = 503
        client = quick_client(server.url)
        first = asyncio.create_task(client.connect())
        await wait_until(lambda: server.requests)
        second = asyncio.create_task(client.connect())
        await asyncio.sleep(0)
        first.cancel()
        server.refuse_with = None
        await second
        assert first.cancelled()
        await client.close()


async def test_a_server_that_does_not_close_its_side_is_dropped() -> None:
    async with FakeServer() as server:
        client = quick_client(server.url)
        client._targets._template = ConnectTarget("", close_timeout=0.05)
        await client.connect()
        server.last.transport.pause_reading()
        await client.close()


async def test_a_cancelled_close_drops_the_connection() -> None:
    async with FakeServer() as server:
        client = quick_client(server.url)
        recorder = HookRecorder(client)
        await client.connect()
        server.last.transport.pause_reading()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.close(), 0.05)
        await wait_until(lambda: recorder.closes)
        await client.close()


async def test_the_end_of_the_loop_drops_the_connection() -> None:
    """A program that ends without closing the client."""

    async def forgetful(server: FakeServer, watches: list[HookRecorder]) -> None:
        client = quick_client(server.url)
        watches.append(HookRecorder(client))
        await client.connect()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            if "crosswire" in task.get_name():
                task.cancel()

    watches: list[HookRecorder] = []
    async with FakeServer() as server:
        await forgetful(server, watches)
        await wait_until(lambda: watches[0].closes)


@on_asyncio
async def test_no_timer_is_left() -> None:
    async with FakeServer() as server:
        client = quick_client(server.url, ping_interval=0.01)
        async with client:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.call("lost", on_pending=print, pending_after=60), 0.03)
        timers = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
        assert [each for each in timers if not each.cancelled() and "crosswire" in repr(each)] == []


async def test_tls(tmp_path: Path) -> None:
    serving, trusting = tls_contexts(tmp_path)
    async with FakeServer(tls=serving) as server:
        server.answers["say"] = "hello"
        async with Client(server.url, tls=trusting) as client:
            assert await client.call("say") == "hello"
        doubtful = quick_client(server.url, retry_limit=0)
        with pytest.raises(NotConnected, match=r"(?i)certificate"):
            await doubtful.connect()
