from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from crosswire.core.codecs import JSON, MSGPACK
from crosswire.core.formats import frame_format
from crosswire.core.limits import Limits
from crosswire.errors import EventError, InvalidPayload, Reject
from crosswire.runtime import environment
from crosswire.server.client_calls import PendingClientCall
from crosswire.server.socket import Socket
from tests.support.fakes import FakeConnection, FakeServer
from tests.support.loops import on_instant_loop

NO_HANDLER = {"code": "NO_HANDLER", "message": "the server has no handler for this event"}
HANDLER_ERROR = {"code": "HANDLER_ERROR", "message": "the handler failed"}


async def route_messages(
    *texts: str, limits: Limits | None = None, **handlers: Any
) -> tuple[FakeConnection, list[BaseException]]:
    """Send messages to a server with these handlers; return the connection and what was reported."""

    server = FakeServer(limits or Limits())
    for name, handler in handlers.items():
        for each in handler if isinstance(handler, list) else [handler]:
            server.events.on(name, each)
    session, connection = server.connect()
    for text in texts:
        server.router.receive(session, JSON, text)
    await asyncio.sleep(60)
    assert session.handlers.running == len(server.tasks)
    frames, errors = connection.frames.copy(), server.errors.copy()
    await server.end()
    connection.frames = frames  # without what the end of the test told those who still waited
    return connection, errors


def call(event: str, payload: Any = None, id: str = "x") -> str:
    return msgspec.json.encode({"event": event, "payload": payload, "callbackId": id}).decode()


def answered(value: Any, id: str = "x") -> dict[str, Any]:
    return {"payload": value, "callbackId": id}


def refused(error: dict[str, str], id: str = "x") -> dict[str, Any]:
    return {"callbackId": id, "error": error}


def later(handler: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    async def waiting(socket: Socket, data: Any) -> Any:
        await asyncio.sleep(1)
        return handler(socket, data)

    return waiting


def raising(error: BaseException) -> Callable[..., Any]:
    def handler(socket: Socket, data: Any) -> None:
        raise error

    return handler


ways = pytest.mark.parametrize("way", [lambda handler: handler, later, lambda h: lambda s, d: later(h)(s, d)])


@on_instant_loop
@ways
async def test_the_return_value_of_a_handler_answers_the_call(way: Callable[..., Any]) -> None:
    connection, errors = await route_messages(call("say", 5), say=way(lambda socket, data: [socket.user, data]))
    assert connection.messages == [answered(["13", 5])]
    assert errors == []


@on_instant_loop
@ways
async def test_an_event_is_not_answered(way: Callable[..., Any]) -> None:
    seen: list[Any] = []

    def say(socket: Socket, data: Any) -> str:
        seen.append(data)
        return "value"

    connection, _ = await route_messages('{"event":"say","payload":5}', say=way(say))
    assert (connection.frames, seen) == ([], [5])


@on_instant_loop
@ways
async def test_none_answers_null(way: Callable[..., Any]) -> None:
    assert (await route_messages(call("say"), say=way(lambda socket, data: None)))[0].messages == [answered(None)]


@on_instant_loop
@ways
async def test_a_refusal_is_sent_as_it_is_and_not_reported(way: Callable[..., Any]) -> None:
    connection, errors = await route_messages(call("say"), say=way(raising(EventError("full", "the room is full"))))
    assert connection.messages == [refused({"code": "full", "message": "the room is full"})]
    assert errors == []


@on_instant_loop
@ways
@pytest.mark.parametrize("error", [KeyError("secret"), asyncio.CancelledError("secret")])
async def test_a_failure_is_reported_and_its_text_stays_on_the_server(
    way: Callable[..., Any], error: BaseException
) -> None:
    connection, errors = await route_messages(
        call("say"), call("other", id="y"), say=way(raising(error)), other=lambda: 1
    )
    assert sorted(connection.messages, key=lambda message: message["callbackId"]) == [
        refused(HANDLER_ERROR),
        answered(1, "y"),
    ]
    assert errors == [error]
    assert connection.closes == []


@on_instant_loop
@ways
async def test_a_handler_may_reject_the_connection(way: Callable[..., Any]) -> None:
    connection, errors = await route_messages('{"event":"say"}', say=way(raising(Reject(4010, "logged out"))))
    assert connection.closes == [(4010, "logged out")]
    assert errors == []


@on_instant_loop
@ways
async def test_a_value_that_cannot_be_sent_is_a_failure(way: Callable[..., Any]) -> None:
    connection, errors = await route_messages(call("say"), say=way(lambda socket, data: object()))
    assert connection.messages == [refused(HANDLER_ERROR)]
    assert [type(error) for error in errors] == [TypeError]


async def asynchronous(socket: Socket, data: int) -> int:
    return data + 1


def synchronous(socket: Socket, data: int) -> int:
    return data + 1


@on_instant_loop
@pytest.mark.parametrize("handler", [synchronous, asynchronous])
async def test_a_payload_is_checked_before_the_handler_runs(handler: Callable[..., Any]) -> None:
    connection, errors = await route_messages(call("add", 1), call("add", "1", id="y"), add=handler)
    by_id = {message["callbackId"]: message for message in connection.messages}
    assert by_id["x"] == answered(2)
    assert by_id["y"]["error"]["code"] == "INVALID_PAYLOAD"
    assert [type(error) for error in errors] == [InvalidPayload]


@on_instant_loop
async def test_a_payload_that_no_handler_takes_is_not_decoded() -> None:
    connection, errors = await route_messages('{"event":"say","payload":1e999,"callbackId":"x"}', say=lambda: "fine")
    assert (connection.messages, errors) == ([answered("fine")], [])


@on_instant_loop
@ways
async def test_several_handlers_give_one_answer(way: Callable[..., Any]) -> None:
    called: list[str] = []
    connection, errors = await route_messages(
        call("say"),
        say=[lambda: None, way(lambda socket, data: "first"), raising(KeyError()), lambda: called.append("last")],
    )
    assert connection.messages == [answered("first")]
    assert called == ["last"]
    assert len(errors) == 1


@on_instant_loop
async def test_a_call_that_nobody_handles_is_refused_and_an_event_ignored() -> None:
    connection, errors = await route_messages(
        call("nothing"), '{"event":"nothing"}', call("$ping", id="y"), call("", id="z")
    )
    assert connection.messages == [refused(NO_HANDLER, id) for id in "xyz"]
    assert errors == []


@on_instant_loop
@pytest.mark.parametrize("name", ["connection", "close", "__proto__", "__class__", "toString", "on_connect"])
async def test_no_event_name_has_a_special_meaning(name: str) -> None:
    assert (await route_messages(call(name)))[0].messages == [refused(NO_HANDLER)]
    handlers: dict[str, Any] = {name: lambda: 5}
    assert (await route_messages(call(name), **handlers))[0].messages == [answered(5)]


@on_instant_loop
@pytest.mark.parametrize(
    "text",
    [
        '{"event":5,"callbackId":"x"}',
        '{"event":{},"payload":1,"callbackId":"x"}',
        '{"payload":1,"callbackId":"x"}',
        '{"callbackId":"x"}',
        '{"event":"say","payload":NaN,"callbackId":"x"}',
        '{"event":"say","payload":' + "[" * 100_000 + "]" * 100_000 + ',"callbackId":"x"}',
    ],
)
async def test_an_invalid_message_with_a_call_id_is_refused(text: str) -> None:
    connection, errors = await route_messages(text, say=lambda: 1)
    (message,) = connection.messages
    assert (message["callbackId"], message["error"]["code"]) == ("x", "INVALID_MESSAGE")
    assert (errors, connection.closes) == ([], [])


@on_instant_loop
@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON",
        '{"event":5}',
        '{"payload":1}',
        '{"event":"say","callbackId":5}',
        '{"event":"say","callbackId":""}',
        '{"event":"say","callbackId":"' + "x" * 65 + '"}',
        '{"callId":"nobody waits","payload":1}',
        '{"callId":"nobody waits","error":{"code":"a"}}',
    ],
)
async def test_an_invalid_message_without_a_call_id_is_ignored(text: str) -> None:
    called: list[str] = []
    connection, errors = await route_messages(text, say=lambda: called.append("say"))
    assert (connection.frames, connection.closes, errors, called) == ([], [], [], [])


@on_instant_loop
async def test_the_longest_id_is_answered() -> None:
    assert (await route_messages(call("say", id="x" * 64), say=lambda: 1))[0].messages == [answered(1, "x" * 64)]


@on_instant_loop
async def test_a_handler_that_never_ends_hurts_only_its_own_call() -> None:
    async def never(socket: Socket) -> None:
        await asyncio.Event().wait()

    connection, _ = await route_messages(call("never"), call("say", id="y"), never=never, say=lambda: 1)
    assert connection.messages == [answered(1, "y")]


@on_instant_loop
@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("way", [later, lambda handler: lambda socket, data: later(handler)(socket, data)])
async def test_more_handlers_than_the_limit_are_refused(several: bool, way: Callable[..., Any]) -> None:
    handler = way(lambda socket, data: data)
    connection, errors = await route_messages(
        *(call("say", number, id=str(number)) for number in range(4)),
        '{"event":"say"}',
        say=[lambda: None, handler] if several else handler,
        limits=Limits(handlers=2),
    )
    messages = {message["callbackId"]: message for message in connection.messages}
    assert [messages[id].get("payload") for id in "0123"] == [0, 1, None, None]
    assert [messages[id]["error"]["code"] for id in "23"] == ["BUSY", "BUSY"]
    assert [str(error) for error in errors] == ["BUSY: too many of your events are still being handled"]


async def test_answers_have_the_format_that_was_agreed_on() -> None:
    server = FakeServer()
    server.events.on("say", synchronous)
    form = frame_format(msgpack=True, window_bits=0)
    session, connection = server.connect(format=form)
    wire = MSGPACK.encode({"event": "say", "payload": 1, "callbackId": "x"})
    server.router.receive(session, MSGPACK, wire)
    await server.end()
    (frame,) = connection.frames
    assert frame[0] == 0x82
    assert msgspec.msgpack.decode(frame[2:]) == answered(2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"callId":"1","payload":[5]}', [5]),
        ('{"callId":"1"}', None),
        ('{"callId":"1","error":{"code":"full","message":"no"}}', "full"),
        ('{"callId":"1","payload":1e999}', "INVALID_PAYLOAD"),
    ],
)
async def test_a_clients_answer_reaches_its_waiter(text: str, expected: Any) -> None:
    server = FakeServer()
    session, _ = server.connect()
    waiter = PendingClientCall()
    session.client.expect("1", waiter)
    server.router.receive(session, JSON, text)
    server.router.receive(session, JSON, '{"callId":"1","payload":"again"}')
    await server.end()
    outcome = (await asyncio.gather(waiter.future, return_exceptions=True))[0]
    if isinstance(outcome, EventError):
        assert (outcome.code, outcome.sender) == (expected, "13")
    else:
        assert outcome == expected


@on_instant_loop
@pytest.mark.parametrize(
    ("events", "closes"),
    [(["$background"], [4013]), (["$background", "$foreground"], []), (["$foreground"], []), (["$other"], [])],
)
async def test_a_client_in_the_background_is_closed_unless_it_comes_back(events: list[str], closes: list[int]) -> None:
    connection, errors = await route_messages(*(f'{{"event":"{event}","payload":null}}' for event in events))
    assert [code for code, _ in connection.closes] == closes
    assert (connection.messages, errors) == ([], [])


@on_instant_loop
async def test_nobody_looks_at_the_clock_for_a_handler_that_is_not_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    server = FakeServer(Limits())
    server.events.on("say", lambda socket, data: data)
    session, connection = server.connect()
    with monkeypatch.context() as patched:
        patched.setattr(environment, "monotonic", lambda: pytest.fail("somebody looked at the clock"))
        server.router.receive(session, JSON, call("say", 5))
    assert connection.messages == [answered(5)]
    await server.end()
