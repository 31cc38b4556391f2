from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast, get_type_hints

import msgspec
import pytest

from crosswire import EventError, Socket
from tests.integration.server.support import HookRecorder, connect, make_server

SECRET = "sesame-4711"


async def answer_later(socket: Socket, data: Any) -> Any:
    await asyncio.sleep(0)
    return data


class AsyncObject:
    async def __call__(self, socket: Socket, data: Any) -> Any:
        return await answer_later(socket, data)

    async def method(self, socket: Socket, data: Any) -> Any:
        return await answer_later(socket, data)


@pytest.mark.parametrize(
    "handler",
    [
        lambda socket, data: data,
        lambda socket, data: answer_later(socket, data),
        answer_later,
        partial(answer_later),
        AsyncObject(),
        AsyncObject().method,
    ],
    ids=["sync", "lambda returning a coroutine", "async", "partial", "async object", "async method"],
)
@pytest.mark.parametrize("value", [None, 0, False, "", [], {"a": [1, 2.5, "é漢🎉"]}], ids=repr)
async def test_the_return_value_answers(handler: Callable[..., Any], value: Any) -> None:
    server = make_server()
    server.on("say", handler)
    async with server, connect(server) as peer:
        assert await peer.ask("say", value) == {"payload": value, "callbackId": "call-1"}


async def test_without_a_callback_id_nothing_is_answered() -> None:
    server = make_server()
    server.on("value", lambda: 1)

    @server.on("broken")
    def broken() -> None:
        raise ValueError

    async with server, connect(server) as peer:
        await peer.send("value")
        await peer.send("broken")
        await peer.send("value", callbackId=None)
        assert await peer.rest() == []


@pytest.mark.parametrize("kinds", ["sss", "aaa", "sas", "asa", "lsa", "sls"])
async def test_the_first_value_that_is_not_none_answers(kinds: str) -> None:
    server, calls = make_server(), list[int]()

    def add(kind: str, index: int) -> None:
        value = None if index == 0 else index

        async def later() -> int | None:
            await asyncio.sleep(0)
            calls.append(index)
            return value

        def at_once() -> int | None:
            calls.append(index)
            return value

        server.on("say", {"s": at_once, "a": later, "l": lambda: later()}[kind])

    for index, kind in enumerate(kinds):
        add(kind, index)
    async with server, connect(server) as peer:
        assert await peer.call("say") == 1
        assert await peer.rest() == []
        assert calls == [0, 1, 2]


async def test_the_earlier_of_a_value_and_a_failure_answers() -> None:
    server, calls = make_server(), list[str]()
    recorder = HookRecorder(server)

    def fail() -> None:
        calls.append("fail")
        raise EventError("full", "no room")

    async def value() -> int:
        calls.append("value")
        return 7

    server.on("fail first", fail)
    server.on("fail first", value)
    server.on("value first", value)
    server.on("value first", fail)
    server.on("none first", lambda: None)
    server.on("none first", fail)
    async with server, connect(server) as peer:
        assert await peer.refused("fail first") == ("full", "no room")
        assert await peer.call("value first") == 7
        assert await peer.refused("none first") == ("full", "no room")
        assert await peer.rest() == []
        assert calls == ["fail", "value", "value", "fail", "fail"]
        assert recorder.errors == []


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_failure_hides_its_text_from_the_caller(is_async: bool, several: bool) -> None:
    server = make_server()
    recorder = HookRecorder(server)

    def fail() -> None:
        raise KeyError(SECRET)

    async def fail_later() -> None:
        await asyncio.sleep(0)
        fail()

    server.on("say", fail_later if is_async else fail)
    if several:
        server.on("say", lambda: None)
    async with server, connect(server) as peer:
        await peer.send("say", callbackId="x")
        text = await peer.receive_frame()
        assert SECRET not in str(text)
        assert json.loads(text) == {
            "callbackId": "x",
            "error": {"code": "HANDLER_ERROR", "message": "the handler failed"},
        }
        assert await peer.rest() == []
        assert [repr(error) for error in recorder.errors] == [f"KeyError('{SECRET}')"]


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_refusal_reaches_the_caller_and_is_no_failure(is_async: bool) -> None:
    server = make_server()
    recorder = HookRecorder(server)

    def refuse() -> None:
        raise EventError("full", "the room is full: é漢🎉")

    async def refuse_later() -> None:
        refuse()

    server.on("say", refuse_later if is_async else refuse)
    async with server, connect(server) as peer:
        assert await peer.refused("say") == ("full", "the room is full: é漢🎉")
        assert recorder.errors == []


def cyclic() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


UNSENDABLE: dict[str, Callable[[], Any]] = {
    "object": lambda: object(),
    "nested": lambda: {"a": [object()]},
    "cycle": cyclic,
    "lone surrogate": lambda: "\ud800",
    "tuple keys": lambda: {(1, 2): 3},
    "generator": lambda: (x for x in "ab"),
    "future": lambda: asyncio.get_running_loop().create_future(),
}


@pytest.mark.parametrize("name", UNSENDABLE)
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_value_that_cannot_be_sent_is_the_handlers_failure(name: str, is_async: bool) -> None:
    server = make_server()
    recorder = HookRecorder(server)
    make = UNSENDABLE[name]

    async def later() -> Any:
        return make()

    server.on("say", later if is_async else make)
    server.on("echo", lambda socket, data: data)
    async with server, connect(server) as peer:
        assert await peer.refused("say") == ("HANDLER_ERROR", "the handler failed")
        assert [type(error) for error in recorder.errors] == [TypeError]
        assert await peer.call("echo", 1) == 1


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("message", ["\ud800", object()], ids=["lone surrogate", "object"])
async def test_a_refusal_that_cannot_be_sent_still_answers(is_async: bool, message: Any) -> None:
    server = make_server()

    def refuse() -> None:
        raise EventError("full", message)

    async def refuse_later() -> None:
        refuse()

    server.on("say", refuse_later if is_async else refuse)
    server.on("echo", lambda socket, data: data)
    async with server, connect(server) as peer:
        assert (await peer.refused("say"))[0] == "HANDLER_ERROR"
        assert await peer.call("echo", 1) == 1


@pytest.mark.parametrize("call_id", ["a", "x" * 64, "漢" * 64, " ", '"\\', "\x00", "callbackId", "0"])
async def test_an_id_of_1_to_64_characters_is_answered(call_id: str) -> None:
    server = make_server()
    server.on("say", lambda socket, data: data)
    async with server, connect(server) as peer:
        await peer.send("say", 5, callbackId=call_id)
        assert await peer.receive() == {"payload": 5, "callbackId": call_id}
        await peer.send("nothing", 5, callbackId=call_id)
        assert (await peer.receive())["callbackId"] == call_id


BAD_IDS = ["x" * 65, "x" * 100_000, "", 5, 5.5, True, [], {}, ["a"]]


@pytest.mark.parametrize("call_id", BAD_IDS, ids=lambda value: repr(value)[:20])
async def test_any_other_id_is_neither_answered_nor_dispatched(call_id: Any) -> None:
    server, calls = make_server(), list[Any]()
    server.on("say", lambda socket, data: calls.append(data))
    async with server, connect(server) as peer:
        await peer.send("say", 5, callbackId=call_id)
        assert await peer.rest() == []
        assert calls == []
        assert await peer.call("say", 6) is None
        assert calls == [6]


async def test_an_id_used_twice_is_answered_twice() -> None:
    server = make_server()
    server.on("say", lambda socket, data: data)
    async with server, connect(server) as peer:
        await peer.send("say", 1, callbackId="same")
        await peer.send("say", 2, callbackId="same")
        assert [message["payload"] for message in await peer.rest()] == [1, 2]


async def test_calls_of_one_connection_are_answered_to_it_alone() -> None:
    server = make_server()
    server.on("say", lambda socket, data: socket.user)
    async with server, connect(server, "1") as one, connect(server, "2") as two:
        assert await one.call("say") == "1"
        assert await two.call("say") == "2"
        assert await one.rest() == await two.rest() == []


class Answer(msgspec.Struct):
    members: int


def right() -> Answer:
    return Answer(5)


def wrong() -> Answer:
    return {"member": 5}  # type: ignore[return-value] # pyright: ignore[reportReturnType]


def wrong_number() -> int:
    return "5"  # type: ignore[return-value] # pyright: ignore[reportReturnType]


def wrong_list() -> dict[str, Any]:
    return [5]  # type: ignore[return-value] # pyright: ignore[reportReturnType]


def later(handler: Callable[[], Any]) -> Callable[[], Any]:
    """The handler as an asynchronous one, with the same annotations."""

    async def asynchronous() -> Any:
        await asyncio.sleep(0)
        return handler()

    asynchronous.__annotations__ = handler.__annotations__
    return asynchronous


def returning_a_coroutine(handler: Callable[[], Any]) -> Callable[[], Any]:
    def plain() -> Any:
        return later(handler)()

    (returns,) = get_type_hints(handler).values()
    plain.__annotations__ = dict.fromkeys(handler.__annotations__, cast(Any, Awaitable)[returns])
    return plain


@pytest.mark.parametrize(
    "form", [lambda handler: handler, later, returning_a_coroutine], ids=["sync", "async", "coroutine"]
)
@pytest.mark.parametrize("others", [0, 1], ids=["alone", "with another"])
async def test_an_answer_that_does_not_fit_its_annotation_is_a_failure(
    form: Callable[[Any], Any], others: int, caplog: pytest.LogCaptureFixture
) -> None:
    server = make_server()
    recorder = HookRecorder(server)
    for handler in (right, wrong, wrong_number, wrong_list):
        for _ in range(others):
            server.on(handler.__name__, lambda: None)
        server.on(handler.__name__, form(handler))
    async with server, connect(server) as peer:
        assert await peer.call("right") == {"members": 5}
        for name in ("wrong", "wrong_number", "wrong_list"):
            assert await peer.refused(name) == ("HANDLER_ERROR", "the handler failed")
        assert [type(error) for error in recorder.errors] == [TypeError] * 3
        assert "does not fit its annotation, Answer: Object missing required field `members`" in str(recorder.errors[0])
        assert "does not fit its annotation, int: Expected `int`, got `str`" in str(recorder.errors[1])
        assert "a handler of 'wrong' failed" in caplog.text
