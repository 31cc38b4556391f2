from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

import pytest

from crosswire.client import Client
from crosswire.errors import InvalidPayload
from crosswire.types import Close
from tests.integration.client.fake_server import FakeServer
from tests.integration.client.helpers import HookRecorder, quick_client
from tests.support.aio import wait_until


@dataclass
class Point:
    x: int
    y: int = 0


async def test_events_go_out_in_order() -> None:
    async with FakeServer() as server, quick_client(server.url) as client:
        for number in range(100):
            client.send("count", number)
        client.send("nothing")
        client.send("point", Point(1))
        await wait_until(lambda: len(server.messages) == 102)
        assert [message["payload"] for message in server.messages[:100]] == list(range(100))
        assert server.messages[100:] == [
            {"event": "nothing", "payload": None},
            {"event": "point", "payload": {"x": 1, "y": 0}},
        ]


async def test_handlers_get_events_in_order_and_can_be_removed() -> None:
    seen: list[Any] = []
    async with FakeServer() as server, quick_client(server.url) as client:

        @client.on("news")
        def first(data: Any) -> None:
            seen.append(("first", data))

        @client.on("news", tag="mine")
        async def second(data: Any) -> None:
            await asyncio.sleep(0)
            seen.append(("second", data))

        client.on("news", lambda: seen.append("no arguments"))
        client.once("news", lambda data: seen.append(("once", data)), tag="mine too")

        await server.send({"event": "news", "payload": 1})
        await wait_until(lambda: len(seen) == 4)
        assert seen == [("first", 1), ("second", 1), "no arguments", ("once", 1)]
        client.off("news", "mine")
        client.off("news", first)
        seen.clear()
        await server.send({"event": "news", "payload": 2})
        await wait_until(lambda: seen)
        assert seen == ["no arguments"]
        client.off("news")
        await server.send({"event": "news", "payload": 3})
        server.answers["say"] = None
        await client.call("say")
        assert seen == ["no arguments"]


async def test_hooks_are_removed_by_their_own_off_by_object_and_by_name() -> None:
    seen: list[str] = []

    def greet() -> None:
        seen.append("greet")

    async with FakeServer() as server:
        client = quick_client(server.url)
        client.on_open(greet)
        client.off("on_open", greet)
        client.on_open(greet, tag="greeting")
        client.off(client.on_open, "greeting")
        client.on_open(greet)
        client.on_open.off(greet)
        client.on_open(lambda: seen.append("once"), once=True)
        for _ in range(2):
            async with client:
                pass
        assert seen == ["once"]


async def test_a_payload_is_validated_before_its_handler_runs() -> None:
    seen: list[Any] = []
    async with FakeServer() as server, quick_client(server.url) as client:
        recorder = HookRecorder(client)
        client.on("point", lambda data: seen.append(data))

        @client.on("point")
        def typed(data: Point) -> None:
            seen.append(data)

        await server.send({"event": "point", "payload": {"x": "no number"}})
        await server.send({"event": "point", "payload": {"x": 1, "y": 2}})
        await wait_until(lambda: len(seen) == 3)
        assert seen == [{"x": "no number"}, {"x": 1, "y": 2}, Point(1, 2)]
        [error] = recorder.errors
        assert isinstance(error, InvalidPayload)


async def test_a_failing_handler_is_reported_and_the_next_is_called(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Any] = []
    async with FakeServer() as server, quick_client(server.url) as client:

        @client.on("news")
        def fail() -> None:
            raise RuntimeError("a handler's own mistake")

        @client.on("news")
        async def fail_later() -> None:
            await asyncio.sleep(0)
            raise KeyError("another")

        client.on("news", lambda: seen.append("called"))
        await server.send({"event": "news"})
        await wait_until(lambda: len(seen) == 1)
        [first, second] = [record for record in caplog.records if record.name == "crosswire.client"]
        assert first.levelno == logging.ERROR
        assert "a handler's own mistake" in caplog.text
        assert second.exc_info
        assert second.exc_info[0] is KeyError
        caplog.clear()

        recorder = HookRecorder(client)
        client.on_error(lambda: 1 / 0)
        await server.send({"event": "news"})
        await wait_until(lambda: len(recorder.errors) == 2)
        assert [type(each) for each in recorder.errors] == [RuntimeError, KeyError]
        assert all("a handler of on_error failed" in each for each in caplog.messages)


async def test_handlers_that_still_run_are_cancelled_when_the_client_closes() -> None:
    ended: list[str] = []
    async with FakeServer() as server:
        client = Client(server.url)

        @client.on_open
        async def forever() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("forever")

        @client.on_close
        async def say_goodbye(close: Close) -> None:
            await asyncio.sleep(0)
            ended.append(f"goodbye {close.code}")

        async with client:
            pass
        assert ended == ["forever", "goodbye 4001"]


async def test_a_handler_may_close_the_client() -> None:
    async with FakeServer() as server:
        client = Client(server.url)
        recorder = HookRecorder(client)

        @client.on("leave")
        async def leave() -> None:
            await client.close()
            recorder.events.append("left")

        await client.connect()
        await server.send({"event": "leave"})
        await wait_until(lambda: "left" in recorder.events)
        assert recorder.events == ["open", "close", "left"]
