from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from math import inf
from typing import Any

import pytest

from crosswire.errors import CallTimeout, ConfigError, EventError, InvalidPayload, NotConnected
from tests.integration.client.fake_server import FakeServer, Refusal
from tests.integration.client.helpers import HookRecorder, quick_client
from tests.support.aio import wait_until


@dataclass
class Point:
    x: int
    y: int = 0


@dataclass
class Known:
    x: int

    def __post_init__(self) -> None:
        raise KeyError(self.x)


async def test_each_call_gets_its_own_answer() -> None:
    async with FakeServer() as server:
        server.answers = {"say": {"msg": "hi"}, "nothing": None, "number": 5}
        async with quick_client(server.url) as client:
            answers: Any = await asyncio.gather(client.call("say", 1), client.call("nothing"), client.call("number"))
            assert answers == [{"msg": "hi"}, None, 5]
            ids = [message["callbackId"] for message in server.messages]
            assert len(set(ids)) == 3
            assert all(isinstance(each, str) and 1 <= len(each) <= 64 for each in ids)


async def test_a_refusal_is_raised() -> None:
    async with FakeServer() as server:
        server.answers["join"] = Refusal("full", "the room is full")
        async with quick_client(server.url) as client:
            with pytest.raises(EventError) as caught:
                await client.call("join")
            assert (caught.value.code, caught.value.message) == ("full", "the room is full")


async def test_a_call_may_wait_without_end() -> None:
    async with FakeServer() as server, quick_client(server.url) as client:
        calls = [asyncio.create_task(client.call("later", timeout=timeout)) for timeout in (inf, 1e99)]
        await wait_until(lambda: len(server.messages) == 2)
        for message in server.messages:
            await server.send({"payload": "at last", "callbackId": message["callbackId"]})
        assert await asyncio.gather(*calls) == ["at last"] * 2


async def test_a_call_without_an_answer_times_out_and_is_forgotten() -> None:
    async with FakeServer() as server, quick_client(server.url, call_timeout=0.02) as client:
        for timeout in (None, 0.01):
            with pytest.raises(CallTimeout) as caught:
                await client.call("lost", timeout=timeout)
            assert caught.value.code == "CALLBACK_TIMEOUT"
        await wait_until(lambda: server.messages)
        late = server.messages[0]["callbackId"]
        await server.send({"payload": "late", "callbackId": late})
        await server.send({"payload": "invented", "callbackId": "never-given"})
        server.answers["say"] = "still here"
        assert await client.call("say", timeout=5) == "still here"


async def test_the_pending_notice_is_given_once() -> None:
    notices: list[str] = []

    async def async_notice() -> None:
        await asyncio.sleep(0)
        notices.append("async")

    async with FakeServer() as server, quick_client(server.url, pending_after=0.01) as client:
        first = asyncio.create_task(client.call("first", on_pending=lambda: notices.append("sync")))
        await wait_until(lambda: len(notices) == len(server.messages) == 1)
        second = asyncio.create_task(client.call("second", on_pending=async_notice, pending_after=0))
        await wait_until(lambda: len(notices) == len(server.messages) == 2)
        await asyncio.sleep(0.03)
        for calling, message in zip((first, second), server.messages, strict=True):
            await server.send({"payload": message["event"], "callbackId": message["callbackId"]})
            assert await calling == message["event"]
        assert notices == ["sync", "async"]


async def test_no_notice_when_the_answer_is_quick() -> None:
    notices: list[None] = []
    async with FakeServer() as server:
        server.answers["say"] = 1
        async with quick_client(server.url) as client:
            began = time.monotonic()
            await client.call("say", on_pending=lambda: notices.append(None), pending_after=0.05)
            was_quick = time.monotonic() - began < 0.045  # unless this process stood still meanwhile
            await asyncio.sleep(0.07)
            assert notices == [] or not was_quick


async def test_a_failing_notice_is_reported_and_the_call_goes_on() -> None:
    async with FakeServer() as server, quick_client(server.url) as client:
        recorder = HookRecorder(client)
        calling = asyncio.create_task(client.call("later", on_pending=lambda: 1 / 0, pending_after=0))
        await wait_until(lambda: recorder.errors and server.messages)
        assert isinstance(recorder.errors[0], ZeroDivisionError)
        await server.send({"payload": "answer", "callbackId": server.messages[0]["callbackId"]})
        assert await calling == "answer"


async def test_misuse_of_a_call_is_refused_before_anything_is_sent() -> None:
    async with FakeServer() as server, quick_client(server.url) as client:
        misuses: list[dict[str, Any]] = [
            {"timeout": 0},
            {"pending_after": -1},
            {"on_pending": lambda needed: needed},
        ]
        for options in misuses:
            with pytest.raises(ConfigError):
                await client.call("say", **options)
        with pytest.raises(InvalidPayload):
            await client.call("say", object())
        with pytest.raises(InvalidPayload):
            client.send("say", object())
        server.answers["say"] = 1
        assert await client.call("say") == 1
        assert len(server.messages) == 1


async def test_a_cancelled_call_is_forgotten() -> None:
    async with FakeServer() as server, quick_client(server.url) as client:
        calling = asyncio.create_task(client.call("lost"))
        await wait_until(lambda: server.messages)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        await server.send({"payload": "late", "callbackId": server.messages[0]["callbackId"]})
        server.answers["say"] = 1
        assert await client.call("say") == 1


@pytest.mark.parametrize("how", ["dropped", "closed by the server", "reconnect()"])
async def test_calls_fail_as_soon_as_the_connection_is_lost(how: str) -> None:
    async with FakeServer() as server:
        client = quick_client(server.url)
        await client.connect()
        calling = asyncio.create_task(client.call("lost", timeout=60))
        await wait_until(lambda: server.messages)
        if how == "dropped":
            server.drop_all()
        elif how == "closed by the server":
            await server.last.close(1001)
        else:
            client.reconnect()
        with pytest.raises(NotConnected):
            await asyncio.wait_for(calling, 10)
        await client.close()


async def test_calls_fail_before_the_closing_handshake_is_done() -> None:
    async with FakeServer() as server:
        client = quick_client(server.url)
        await client.connect()
        calling = asyncio.create_task(client.call("lost", timeout=60))
        await wait_until(lambda: server.messages)
        server.last.transport.pause_reading()
        closing = asyncio.create_task(client.close())
        with pytest.raises(NotConnected):
            await asyncio.wait_for(calling, 10)
        assert not closing.done()
        server.last.transport.resume_reading()
        await closing


async def test_nothing_is_sent_once_the_connection_is_lost() -> None:
    async with FakeServer() as server:
        client = quick_client(server.url, retry_limit=0)
        recorder = HookRecorder(client)
        await client.connect()
        server.drop_all()
        await wait_until(lambda: recorder.closes)
        with pytest.raises(NotConnected):
            client.send("say")
        with pytest.raises(NotConnected):
            await client.call("say")


async def test_an_answer_becomes_the_type_that_was_asked_for_or_is_refused() -> None:
    async with FakeServer() as server:
        server.answers = {"point": {"x": 1}, "odd": {"x": "1"}, "nothing": None}
        async with quick_client(server.url) as client:
            assert await client.call("point", type=Point) == Point(1)
            assert await client.call("point", type=dict[str, int]) == {"x": 1}
            assert await client.call("nothing", type=Point | None) is None
            for event in ("odd", "nothing"):
                with pytest.raises(InvalidPayload, match="Expected"):
                    await client.call(event, type=Point)
            with pytest.raises(ConfigError, match="can't be a payload's type"):
                await client.call("point", type=asyncio.Event)
            assert await client.call("odd") == {"x": "1"}


async def test_an_answer_whose_type_raises_an_error_fails_its_call_only() -> None:
    async with FakeServer() as server:
        server.answers = {"point": {"x": 1}}
        async with quick_client(server.url) as client:
            recorder = HookRecorder(client)
            with pytest.raises(InvalidPayload, match=r"the type of the answer raised KeyError$") as caught:
                await client.call("point", type=Known)
            assert isinstance(caught.value.__cause__, KeyError)
            assert await client.call("point", type=Point) == Point(1)
            assert recorder.closes == []
