from __future__ import annotations

import asyncio
import logging

import pytest

from crosswire.errors import EventError, InvalidPayload, NotConnected
from crosswire.runtime.stop_signals import InterruptedBySignal
from crosswire.server.authentication import Verdict
from crosswire.types import Close
from tests.support.fakes import FakeServer
from tests.support.loops import on_instant_loop

REFUSAL = EventError("full", "the room is full")


async def report(
    error: BaseException, *, answers: bool = False, stopping: bool = False, hook: bool = True
) -> list[BaseException]:
    """Report an error of a handler; return what ``on_error`` was called with."""
    server, seen = FakeServer(), list[BaseException]()
    server.hooks.on_error.off()
    session, _ = server.connect()
    if hook:
        server.hooks.on_error(lambda socket, error: seen.append(error))
    server.failures.stopping = stopping
    server.failures.report(session, error, "a handler of 'say'", answers=answers)
    await server.end()
    return seen


@on_instant_loop
async def test_a_failure_is_logged_and_given_to_on_error(caplog: pytest.LogCaptureFixture) -> None:
    error = ValueError("wrong")
    assert await report(error) == [error]
    (record,) = caplog.records
    assert (record.getMessage(), record.levelno) == ("a handler of 'say' failed", logging.ERROR)


@on_instant_loop
async def test_a_refusal_that_answers_a_call_is_not_reported(caplog: pytest.LogCaptureFixture) -> None:
    assert await report(REFUSAL, answers=True) == []
    assert caplog.records == []


@on_instant_loop
@pytest.mark.parametrize("error", [REFUSAL, InvalidPayload("not an int")])
async def test_a_refusal_without_a_caller_is_given_to_on_error_or_logged(
    error: EventError, caplog: pytest.LogCaptureFixture
) -> None:
    assert await report(error) == [error]
    assert caplog.records == []
    await report(error, hook=False)
    (record,) = caplog.records
    assert "there is no on_error hook" in record.getMessage()


@on_instant_loop
@pytest.mark.parametrize(("error", "stopping"), [(asyncio.CancelledError(), True), (InterruptedBySignal(), False)])
async def test_a_handler_that_a_stop_ends_has_not_failed(
    error: BaseException, stopping: bool, caplog: pytest.LogCaptureFixture
) -> None:
    assert await report(error, stopping=stopping) == []
    assert caplog.records == []


@on_instant_loop
async def test_a_failure_without_a_connection_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    server = FakeServer()
    server.failures.report(None, ValueError("wrong"), "authenticate")
    assert (server.errors, len(caplog.records)) == ([], 1)
    await server.end()


@on_instant_loop
async def test_a_flood_of_failures_is_logged_in_part_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    server = FakeServer()
    session, _ = server.connect()
    for _ in range(100):
        server.failures.report(session, ValueError("wrong"), "a handler")
    logged = len(caplog.records)
    await asyncio.sleep(60)
    server.failures.report(session, ValueError("wrong"), "a handler")
    assert logged < 20
    assert f"({100 - logged} more of these were not logged)" in caplog.records[-1].getMessage()
    assert len(server.errors) == 101
    await server.end()


@on_instant_loop
@pytest.mark.parametrize("code", ["NAME_TOO_LONG", "ROOM_LIMIT", "JOIN_RATE", "CALL_LIMIT"])
async def test_a_client_over_a_limit_is_told_of_once_a_second_and_counted(code: str) -> None:
    server, seen = FakeServer(), list[BaseException]()
    server.hooks.on_error.off()
    session, _ = server.connect()
    server.hooks.on_error(lambda socket, error: seen.append(error))
    error = EventError(code, "too much")
    for number in range(50):
        server.failures.report(session, error, "a handler of 'join'", answers=number % 2 == 0)
    assert seen == [error]
    assert server.failures.losses.messages.total() == 50
    await server.end()


@on_instant_loop
async def test_a_handler_whose_client_is_gone_has_not_failed_but_one_that_uses_another_client_has(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = FakeServer()
    session, _ = server.connect()
    other, _ = server.connect(Verdict(user="14"))
    errors = list[BaseException]()
    for each in (session, other):
        socket = each.socket
        socket.close()
        each.closed(Close(1006, ""))
        with pytest.raises(NotConnected) as raised:
            await socket.join("chat", "1")
        errors.append(raised.value)
    with caplog.at_level(logging.INFO):
        server.failures.report(session, errors[0], "a handler of 'say'")
        assert (caplog.records, server.errors, server.failures.losses.failures) == ([], [], 0)
        server.failures.report(session, errors[0], "a hook", event="on_disconnect")
        server.failures.report(session, errors[1], "a handler of 'say'")
    assert server.failures.losses.failures == 2
    await server.end()
