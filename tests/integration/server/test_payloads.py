from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

import msgspec
import pytest

from crosswire import ConfigError, InvalidPayload, Socket
from tests.integration.server.support import HookRecorder, connect, make_server


class Point(msgspec.Struct):
    x: int
    y: int = 0


@dataclass
class Item:
    name: str
    tags: list[str]


class Entry(TypedDict):
    id: int


class Odd:
    """A class that no payload can be decoded into."""


def a_struct(socket: Socket, data: Point) -> Any:
    assert type(data) is Point
    return [data.x, data.y]


def a_dataclass(socket: Socket, data: Item) -> Any:
    assert type(data) is Item
    return [data.name, data.tags]


def a_typed_dict(socket: Socket, data: Entry) -> Any:
    return data["id"]


def an_int(socket: Socket, data: int) -> Any:
    assert type(data) is int
    return data


def a_union(socket: Socket, data: int | str | None) -> Any:
    return data


def a_list(socket: Socket, data: list[Point]) -> Any:
    return [point.x for point in data]


def a_bounded(socket: Socket, data: Annotated[int, msgspec.Meta(ge=0, lt=10)]) -> Any:
    return data


def a_date(socket: Socket, data: datetime.date) -> Any:
    assert type(data) is datetime.date
    return data


def a_dict(socket: Socket, data: dict[str, Any]) -> Any:
    return sorted(data)


async def an_async(socket: Socket, data: Point) -> Any:
    return [data.x, data.y]


Handler = Callable[[Socket, Any], Any]


@pytest.mark.parametrize(
    ("handler", "data", "answer"),
    [
        (a_struct, {"x": 1}, [1, 0]),
        (a_struct, {"x": 1, "y": 2, "more": [3]}, [1, 2]),
        (a_dataclass, {"name": "tea", "tags": ["a"]}, ["tea", ["a"]]),
        (a_typed_dict, {"id": 5}, 5),
        (an_int, 5, 5),
        (a_union, "a", "a"),
        (a_union, None, None),
        (a_list, [{"x": 1}, {"x": 2}], [1, 2]),
        (a_bounded, 9, 9),
        (a_date, "2026-11-23", "2026-11-23"),
        (a_dict, {"b": 1, "__proto__": 2}, ["__proto__", "b"]),
        (an_async, {"x": 7}, [7, 0]),
    ],
)
async def test_a_payload_of_the_right_type_is_handed_over(handler: Handler, data: Any, answer: Any) -> None:
    server = make_server()
    server.on("say", handler)
    async with server, connect(server) as peer:
        assert await peer.call("say", data) == answer


@pytest.mark.parametrize(
    ("handler", "data"),
    [
        (a_struct, {}),
        (a_struct, {"x": "1"}),
        (a_struct, None),
        (a_struct, []),
        (a_dataclass, {"name": "tea", "tags": "a"}),
        (a_typed_dict, {"id": None}),
        (an_int, "5"),
        (an_int, 5.5),
        (an_int, True),
        (a_union, 1.5),
        (a_list, [{"x": 1}, {}]),
        (a_bounded, 10),
        (a_date, "yesterday"),
        (a_dict, [1]),
        (an_async, {"x": []}),
    ],
)
async def test_any_other_is_refused_before_the_handler_runs(handler: Handler, data: Any) -> None:
    server = make_server()
    recorder = HookRecorder(server)
    server.on("say", handler)
    async with server, connect(server) as peer:
        code, message = await peer.refused("say", data)
        assert code == "INVALID_PAYLOAD"
        assert message
        await peer.send("say", data)
        assert await peer.rest() == []
        # A handler that had run would have failed otherwise.
        assert [type(error) for error in recorder.errors] == [InvalidPayload, InvalidPayload]


async def test_of_several_handlers_each_has_its_own_type() -> None:
    server, got = make_server(), list[Any]()

    @server.on("say")
    def number(socket: Socket, data: int) -> None:
        got.append(data)

    @server.on("say")
    def anything(socket: Socket, data: Any) -> None:
        got.append(data)

    async with server, connect(server) as peer:
        assert (await peer.refused("say", "text"))[0] == "INVALID_PAYLOAD"
        assert got == ["text"]
        await peer.call("say", 5)
        assert got == ["text", 5, 5]


async def test_a_missing_payload_is_null() -> None:
    server = make_server()
    server.on("any", lambda socket, data: [data])
    server.on("int", an_int)
    async with server, connect(server) as peer:
        await peer.send_text('{"event":"any","callbackId":"a"}')
        assert await peer.receive() == {"payload": [None], "callbackId": "a"}
        await peer.send_text('{"event":"int","callbackId":"b"}')
        assert (await peer.receive())["error"]["code"] == "INVALID_PAYLOAD"


async def test_a_payload_nobody_takes_is_not_looked_at() -> None:
    server = make_server()
    server.on("say", lambda socket: "fine")
    async with server, connect(server) as peer:
        assert await peer.call("say", {"x": "anything"}) == "fine"


async def test_what_an_application_sends_may_be_typed_too() -> None:
    server = make_server()
    typed = [Point(1), Item("tea", []), datetime.date(2026, 11, 23), b"\x00\xff", (1,), frozenset([2])]
    server.on("say", lambda: typed)
    async with server, connect(server) as peer:
        plain = [{"x": 1, "y": 0}, {"name": "tea", "tags": []}, "2026-11-23", "AP8=", [1], [2]]
        assert await peer.call("say") == plain
        server.everyone.send("news", Point(3))
        assert await peer.event() == ("news", {"x": 3, "y": 0})


def test_a_type_that_cannot_be_decoded_is_told_at_once() -> None:
    server = make_server()

    def wants_odd(socket: Socket, data: Odd) -> None:
        """Take a payload of an impossible type."""

    def wants_three(socket: Socket, data: Any, more: Any) -> None:
        """Take more arguments than an event has."""

    for handler in (wants_odd, wants_three):
        with pytest.raises(ConfigError):
            server.on("say", handler)  # type: ignore[type-var] # pyright: ignore
