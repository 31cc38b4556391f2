from __future__ import annotations

import asyncio

import pytest
from websockets.asyncio.server import ServerConnection

from crosswire.core.listeners import AnyHook
from crosswire.errors import NotConnected
from crosswire.runtime import environment
from crosswire.types import FINAL_CLOSE_CODES, Close
from tests.integration.client.fake_server import FakeServer, SilentServer
from tests.integration.client.helpers import HookRecorder, quick_client
from tests.support.aio import wait_until


@pytest.mark.parametrize("code", [None, 1000, 1001, 1011, 1013, 4000, 4013])
async def test_comes_back_after_a_loss(code: int | None) -> None:
    async with FakeServer() as server:
        client = quick_client(server.url)
        recorder = HookRecorder(client)
        seen: list[bool] = []
        client.on_close(lambda: seen.append(client.reconnecting))
        await client.connect()
        if code is None:
            server.drop_all()
        else:
            await server.last.close(code, "for a test")
        await wait_until(lambda: recorder.count("open") == 2)
        assert recorder.events == ["open", "close", "reconnect", "open"]
        assert recorder.closes[0].code == (code or 1006)
        assert code is None or recorder.closes[0].reason == "for a test"
        assert seen == [True]
        assert not client.reconnecting
        server.answers["say"] = 1
        assert await client.call("say") == 1
        await client.close()


@pytest.mark.parametrize("code", sorted(FINAL_CLOSE_CODES))
async def test_stays_away_after_a_final_code(code: int) -> None:
    async with FakeServer() as server:
        client = quick_client(server.url)
        recorder = HookRecorder(client)
        await client.connect()
        await server.last.close(code, "go away")
        await wait_until(lambda: recorder.closes)
        assert recorder.closes == [Close(code, "go away")]
        assert not client.reconnecting
        await asyncio.sleep(0.05)
        assert recorder.events == ["open", "close"]
        await client.close()
        assert recorder.events == ["open", "close"]


async def test_connect_raises_when_it_is_closed_with_a_final_code_while_it_waits() -> None:
    async def script(connection: ServerConnection) -> None:
        await connection.close(4011, "Auth failure")

    async with FakeServer() as server:
        client = quick_client(server.url)
        recorder = HookRecorder(client)
        await client.connect()
        server.script = script
        server.drop_all()
        await wait_until(lambda: len(recorder.closes) == 2)
        assert recorder.closes[1] == Close(4011, "Auth failure")
        assert not client.reconnecting
        server.script = None
        await client.connect()
        await client.close()


async def test_a_custom_policy() -> None:
    asked: list[Close] = []

    def policy(close: Close) -> bool:
        asked.append(close)
        return close.code == 4012

    async with FakeServer() as server:
        client = quick_client(server.url, reconnect_policy=policy)
        recorder = HookRecorder(client)
        await client.connect()
        await server.last.close(4012)
        await wait_until(lambda: recorder.count("open") == 2)
        await server.last.close(1001)
        await wait_until(lambda: len(recorder.closes) == 2)
        assert not client.reconnecting
        assert asked == [Close(4012), Close(1001)]
        server.refuse_with = 503
        with pytest.raises(NotConnected, match="503"):
            await client.connect()
        assert asked[2].code == 1006


async def test_a_policy_that_raises_says_no() -> None:
    async with FakeServer() as server:
        client = quick_client(server.url, reconnect_policy=lambda close: close.nonsense)
        recorder = HookRecorder(client)
        await client.connect()
        server.drop_all()
        await wait_until(lambda: recorder.closes)
        assert isinstance(recorder.errors[0], AttributeError)
        assert not client.reconnecting


async def test_attempts_and_delays_are_reported_with_full_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "random", lambda: 0.25)

    server = FakeServer()
    async with server:
        client = quick_client(server.url, fast_retries=2, fast_interval=0.004, max_interval=0.04, retry_limit=7)
        recorder = HookRecorder(client)
        await client.connect()
    await wait_until(lambda: recorder.count("give up 7"))
    assert [attempt for attempt, _ in recorder.retries] == [1, 2, 3, 4, 5, 6, 7]
    expected = [0.001, 0.001, 0.002, 0.004, 0.008, 0.01, 0.01]
    assert [delay for _, delay in recorder.retries] == pytest.approx(expected)
    assert recorder.count("error") == 7
    assert recorder.events[-1] == "give up 7"
    assert not client.reconnecting
    with pytest.raises(NotConnected):
        client.send("say")
    await client.close()


async def test_connect_raises_when_it_gives_up() -> None:
    async with FakeServer() as server:
        pass
    client = quick_client(server.url, retry_limit=2)
    recorder = HookRecorder(client)
    for count in (1, 2):
        with pytest.raises(NotConnected, match="gave up after 2 attempts"):
            await client.connect()
        assert recorder.count("give up 2") == count
    assert [attempt for attempt, _ in recorder.retries] == [1, 2, 1, 2]


async def test_a_stable_connection_counts_attempts_from_zero() -> None:
    async with FakeServer() as server:
        server.answers["say"] = 1
        client = quick_client(server.url, retry_limit=1)
        recorder = HookRecorder(client)
        await client.connect()
        for count in (2, 3, 4):
            assert await client.call("say") == 1
            server.drop_all()
            await wait_until(lambda count=count: recorder.count("open") == count)  # type: ignore[misc]
            await client.connect()
        assert [attempt for attempt, _ in recorder.retries] == [1, 1, 1]
        await client.close()


async def test_close_while_waiting_to_reconnect() -> None:
    async with FakeServer() as server:
        client = quick_client(server.url, fast_interval=60, max_interval=60)
        recorder = HookRecorder(client)
        await client.connect()
        server.drop_all()
        await wait_until(lambda: recorder.retries)
        assert client.reconnecting
        waiting = asyncio.create_task(client.connect())
        await asyncio.sleep(0)
        await client.close()
        with pytest.raises(NotConnected, match="closed by the client"):
            await waiting
        assert not client.reconnecting
        await client.close()


async def test_reconnect_drops_the_present_connection() -> None:
    async with FakeServer() as server:
        client = quick_client(server.url, fast_interval=60, max_interval=60)
        recorder = HookRecorder(client)
        await client.connect()
        client.reconnect()
        assert client.reconnecting
        await wait_until(lambda: recorder.count("open") == 2)
        assert recorder.events == ["open", "close", "reconnect", "open"]
        assert recorder.retries == [(1, 0)]
        assert recorder.closes == [Close(1000, "the client reconnects")]
        await wait_until(lambda: server.connections[0].close_code == 1000)
        await client.close()


async def test_reconnect_does_not_wait_for_a_delay() -> None:
    async with FakeServer() as server:
        client = quick_client(server.url, fast_interval=60, max_interval=60)
        recorder = HookRecorder(client)
        await client.connect()
        server.drop_all()
        await wait_until(lambda: recorder.retries)
        client.reconnect()
        await wait_until(lambda: recorder.count("open") == 2)
        await client.close()


async def test_reconnect_ends_an_attempt_that_hangs() -> None:
    async with SilentServer() as server:
        client = quick_client(server.url)
        recorder = HookRecorder(client)
        connecting = asyncio.create_task(client.connect())
        for count in (1, 2, 3):
            await wait_until(lambda count=count: server.taken == count)  # type: ignore[misc]
            client.reconnect()
            client.reconnect()
        await wait_until(lambda: server.taken == 4)
        assert recorder.errors == []
        await client.close()
        with pytest.raises(NotConnected):
            await connecting
        await wait_until(lambda: server.open == 0)


async def test_reconnect_from_on_error() -> None:
    async with FakeServer() as server:
        await server.stop()
        client = quick_client(server.url, fast_interval=60, max_interval=60)
        recorder = HookRecorder(client)
        begun = 0

        @client.on_error
        def again(_error: Exception) -> None:
            nonlocal begun
            if begun < 3:
                client.reconnect()
                begun += 1

        connecting = asyncio.create_task(client.connect())
        await wait_until(lambda: len(recorder.retries) == 4)
        assert [retry[1] for retry in recorder.retries[:3]] == [0.0] * 3
        assert begun == 3
        await client.close()
        with pytest.raises(NotConnected):
            await connecting


@pytest.mark.parametrize(("reset", "attempts"), [(False, [1, 2, 3]), (True, [1, 2, 1, 2])])
async def test_reconnect_counts_on_unless_reset(reset: bool, attempts: list[int]) -> None:
    async with FakeServer() as server:
        client = quick_client(server.url, retry_limit=2)
        recorder = HookRecorder(client)
        await client.connect()
    await wait_until(lambda: recorder.count("give up 2") == 1)
    client.reconnect(reset)
    await wait_until(lambda: recorder.count("give up 2") == 2)
    assert [attempt for attempt, _ in recorder.retries] == attempts
    await client.close()


async def test_reconnect_overrules_the_policy() -> None:
    async with FakeServer() as server:
        client = quick_client(server.url)
        recorder = HookRecorder(client)
        client.on_close(client.reconnect, once=True)
        await client.connect()
        await server.last.close(4010)
        await wait_until(lambda: recorder.count("open") == 2)
        await server.last.close(4010)
        await wait_until(lambda: len(recorder.closes) == 2)
        assert not client.reconnecting
        client.reconnect()
        await wait_until(lambda: recorder.count("open") == 3)
        await client.close()


async def test_reconnect_may_be_the_first_connect() -> None:
    async with FakeServer() as server:
        client = quick_client(server.url)
        client.reconnect()
        await client.connect()
        assert len(server.connections) == 1
        await client.close()


async def test_a_refusal_while_reconnecting_is_final() -> None:
    async with FakeServer() as server:
        client = quick_client(server.url)
        recorder = HookRecorder(client)
        await client.connect()
        server.refuse_with = 401
        server.drop_all()
        await wait_until(lambda: recorder.errors)
        assert recorder.events == ["open", "close", "reconnect", "error"]
        await wait_until(lambda: not client.reconnecting)
        await client.close()


@pytest.mark.parametrize("how", ["final close", "given up"])
async def test_a_handler_may_connect_again_after_the_end(how: str) -> None:
    """A handler of the end connects again, for example with a new token."""

    async with FakeServer() as server:
        client = quick_client(server.url, retry_limit=0)
        recorder = HookRecorder(client)

        hook: AnyHook = client.on_close if how == "final close" else client.on_give_up
        hook(client.connect)
        await client.connect()
        if how == "final close":
            await server.last.close(4011)
        else:
            server.drop_all()
        await wait_until(lambda: recorder.count("open") == 2)
        hook.off()
        await client.close()


async def test_closing_and_connecting_at_once_gives_a_connection() -> None:
    async with FakeServer() as server:
        client = quick_client(server.url)
        recorder = HookRecorder(client)
        await client.connect()
        closing = asyncio.create_task(client.close())
        await asyncio.sleep(0)
        await client.connect()
        await closing
        server.answers["say"] = 1
        assert await client.call("say") == 1
        assert recorder.count("open") == 2
        assert recorder.closes == [Close(4001, "closed by the client")]
        await client.close()
