"""The client reports or logs everything that it loses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from crosswire.errors import EventError, InvalidMessage, NotConnected
from crosswire.types import Close
from tests.support.loops import on_instant_loop
from tests.unit.client.fake_client import READY, FakeClient, settle

pytestmark = on_instant_loop


@asynccontextmanager
async def connected() -> AsyncIterator[FakeClient]:
    fake = FakeClient(announces=True)
    connecting = asyncio.create_task(fake.client.connect())
    await settle()
    fake.last.open()
    fake.last.receive(READY)
    await connecting
    yield fake
    await fake.client.close()


def refuse() -> None:
    raise EventError("full", "the room is full")


async def refuse_later() -> None:
    await asyncio.sleep(0)
    refuse()


@pytest.mark.parametrize("handler", [refuse, refuse_later])
@pytest.mark.parametrize("told", [True, False], ids=["on_error", "log"])
async def test_a_refusal_of_an_event_without_a_call_is_reported(
    handler: object, told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected() as fake:
        errors: list[BaseException] = []
        if told:
            fake.client.on_error(errors.append)
        else:
            fake.client.on_error.off()
        fake.client.on("news", handler)  # type: ignore[call-overload]
        fake.client.on_message(handler)  # type: ignore[call-overload]
        fake.last.receive('{"event":"news"}')
        await settle()
        assert [type(each) for each in errors] == [EventError, EventError] * told
        assert caplog.text.count("full: the room is full") >= 2 * (not told)
        assert told or [each.levelname for each in caplog.records] == ["ERROR", "ERROR"]


async def test_the_first_refusal_answers_the_call_and_a_later_one_is_reported() -> None:
    async with connected() as fake:
        errors: list[BaseException] = []
        fake.client.on_error(errors.append)
        fake.client.on("one", refuse)
        fake.client.on("two", lambda: 1)
        fake.client.on("two", refuse_later)
        fake.last.receive('{"event":"one","callId":"1"}')
        assert errors == []
        fake.last.receive('{"event":"two","callId":"2"}')
        await settle()
        assert [str(each) for each in errors] == ["full: the room is full"]
        assert fake.last.sent == [
            '{"callId":"1","error":{"code":"full","message":"the room is full"}}',
            '{"callId":"2","payload":1}',
        ]


@pytest.mark.parametrize("raw", ["no json", "[]", '{"event":5}', '{"payload":1}', "{}", '{"event":"half \\ud83d"}'])
async def test_a_message_that_cannot_be_decoded_is_logged(raw: str, caplog: pytest.LogCaptureFixture) -> None:
    async with connected() as fake:
        for _ in range(100):
            fake.last.receive(raw)
        [record] = caplog.records
        assert (record.levelname, record.name) == ("WARNING", "crosswire.client")


async def test_an_answer_that_cannot_be_decoded_fails_its_call() -> None:
    async with connected() as fake:
        calling = asyncio.create_task(fake.client.call("say"))
        await settle()
        fake.last.receive('{"payload":1,"error":5,"callbackId":"1"}')
        with pytest.raises(InvalidMessage):
            await calling


async def test_an_event_without_a_handler_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async with connected() as fake:
        for _ in range(3):
            fake.last.receive('{"event":"mispelt"}')
        fake.last.receive('{"event":"$later","payload":1}')
        assert [each.levelname for each in caplog.records] == ["WARNING"]
        assert "'mispelt'" in caplog.text
        for number in range(200):
            fake.last.receive(f'{{"event":"made up {number}"}}')
        assert 2 <= len(caplog.records) < 50  # a few a second


async def test_an_answer_that_comes_too_late_to_be_sent_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with connected() as fake:
        go_on = asyncio.Event()
        fake.client.on("ask", go_on.wait)
        fake.last.receive('{"event":"ask","callId":"1"}')
        fake.last.end(Close(4011))
        go_on.set()
        await settle()
        assert "an answer was not sent" in caplog.text


async def test_a_failing_on_error_logs_both_failures(caplog: pytest.LogCaptureFixture) -> None:
    async with connected() as fake:
        fake.client.on_error(lambda: 1 / 0)
        fake.client.on("news", refuse)
        fake.last.receive('{"event":"news"}')
        assert "division by zero" in caplog.text
        assert "the room is full" in caplog.text


async def test_what_is_sent_while_the_server_closes_is_refused() -> None:
    """The message is refused, not dropped, as the connection is closing."""

    async with connected() as fake:
        fake.last.closing = Close(1001, "restart")
        with pytest.raises(NotConnected) as caught:
            fake.client.send("say")
        assert caught.value.close == Close(1001, "restart")
        with pytest.raises(NotConnected):
            await fake.client.call("say")
