from __future__ import annotations

import asyncio
from contextvars import copy_context

import pytest

from crosswire.core.codecs import JSON
from crosswire.core.limits import Limits
from crosswire.server.held_messages import HeldLimits, HeldMessage, text_size
from crosswire.server.running_handlers import HANDLER_OVERHEAD, AllHandlers, RunningHandlers
from crosswire.server.socket import Socket
from tests.support.fakes import FakeServer
from tests.support.loops import on_instant_loop

TEXT = f'{{"event":"say","payload":"{"x" * 1000}"}}'


def handlers_at_work() -> RunningHandlers:
    return RunningHandlers(copy_context(), AllHandlers(10, (), lambda: None))


def test_a_message_counts_while_its_handlers_are_at_work() -> None:
    handlers = handlers_at_work()
    message = HeldMessage(handlers, JSON, TEXT, 10_000)
    assert (message.running, handlers.memory) == (0, 0)
    message.running += 1
    assert handlers.running == 1
    assert HANDLER_OVERHEAD + 1000 < handlers.memory < HANDLER_OVERHEAD + 2000
    message.job_ended(None)
    assert (handlers.running, handlers.memory) == (0, 0)


def test_no_handler_starts_for_a_message_over_the_limit() -> None:
    message = HeldMessage(handlers_at_work(), JSON, TEXT, 500)
    assert message.running > 1_000_000
    assert HeldMessage(handlers_at_work(), JSON, TEXT, 5000, kept=True).weight > 2 * len(TEXT)


@pytest.mark.parametrize(("text", "size"), [("x" * 1000, 1000), ("é" * 1000, 3000), ("x" * 1000 + "\U0001f600", 5000)])
def test_a_text_takes_what_its_largest_character_needs(text: str, size: int) -> None:
    assert size <= text_size(text) < size + 100
    assert len(text) <= text_size(text.encode("latin-1", "replace")) < len(text) + 100


def test_the_limits_leave_room_for_an_answer_and_for_one_message() -> None:
    limits = HeldLimits(Limits())
    assert limits.at_work < limits.called < limits.all
    assert limits.at_work + Limits().max_message <= limits.all
    assert HeldLimits(Limits(held=5000)).all == 5000


@on_instant_loop
async def test_a_heavy_message_waits_until_it_is_alone_and_keeps_its_place() -> None:
    server, begun = FakeServer(Limits(held=40_000)), list[int]()

    @server.events.on("say")
    async def say(socket: Socket, data: list[str | int]) -> None:
        begun.append(int(data[0]))
        await asyncio.sleep(1)

    session, connection = server.connect()
    for number, size in enumerate((10, 10, 30_000, 10, 30_000)):
        session.text(f'{{"event":"say","payload":[{number},"{"x" * size}"]}}')
    await asyncio.sleep(0.5)
    assert begun == [0, 1]
    assert not connection.reading
    await asyncio.sleep(1)
    assert begun == [0, 1, 2]
    await asyncio.sleep(1)
    assert begun == [0, 1, 2, 3]
    await asyncio.sleep(2)
    assert begun == [0, 1, 2, 3, 4]
    assert connection.reading
    assert (session.handlers.running, session.handlers.memory) == (0, 0)
    await server.end()


@on_instant_loop
@pytest.mark.parametrize("several", [False, True])
async def test_a_message_that_is_too_heavy_is_refused(several: bool) -> None:
    server = FakeServer(Limits(held=40_000))

    @server.events.on("say")
    async def say(socket: Socket, data: list[list[int]]) -> int:
        return len(data)

    if several:
        server.events.on("say", lambda: None)
    server.events.on("plain", lambda socket, data: len(data))
    session, connection = server.connect()
    lists = ",".join(["[]"] * 1000)
    session.text(f'{{"event":"say","callbackId":"1","payload":[{lists}]}}')
    session.text(f'{{"event":"say","payload":[{lists}]}}')
    session.text(f'{{"event":"plain","callbackId":"2","payload":[{lists}]}}')
    await asyncio.sleep(1)
    refused, answered = connection.messages
    assert (refused["callbackId"], refused["error"]["code"]) == ("1", "TOO_LARGE")
    assert answered == {"payload": 1000, "callbackId": "2"}, "a plain function holds nothing for long"
    assert server.failures.losses.messages["too large"] == 2
    assert [getattr(error, "code", "") for error in server.errors] == ["TOO_LARGE"], "once a second"
    await server.end()


@on_instant_loop
async def test_answers_are_read_while_handlers_hold_all_that_they_may() -> None:
    server, answers = FakeServer(Limits(held=20_000)), list[str]()

    @server.events.on("ask")
    async def ask(socket: Socket) -> None:
        answers.append(await socket.call("name"))

    session, connection = server.connect()
    for _ in range(10):
        session.text('{"event":"ask"}')
    await asyncio.sleep(0.1)
    asked = [message["callId"] for message in connection.messages]
    assert 0 < len(asked) < 10
    while len(answers) < 10:
        for call_id in [message["callId"] for message in connection.messages]:
            session.text(f'{{"callId":"{call_id}","payload":"me"}}')
        await asyncio.sleep(0.1)
    assert (answers, connection.reading) == (["me"] * 10, True)
    await server.end()


@on_instant_loop
@pytest.mark.parametrize("left", [True, False])
async def test_a_peer_that_is_gone_is_noticed_while_it_is_not_read(left: bool) -> None:
    server = FakeServer(Limits(held=20_000, linger=2))

    @server.events.on("slow")
    async def slow() -> None:
        await asyncio.sleep(1000)

    session, connection = server.connect()
    for _ in range(10):
        session.text('{"event":"slow"}')
    await asyncio.sleep(0.5)
    assert not connection.reading
    connection.peer_left = left
    await asyncio.sleep(4)
    assert len(connection.aborts) == left
    assert session.handlers.running == (0 if left else 3)
    await server.end()
