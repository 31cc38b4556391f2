"""Signatures of handlers: accepted ones with their arguments, and refused ones."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import partial, wraps
from typing import TYPE_CHECKING, Annotated, Any, Literal, NewType, Protocol, TypedDict, TypeVar
from unittest.mock import AsyncMock, Mock

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.listeners import EventListeners
from crosswire.core.signatures import Arguments, inspect_handler, is_async
from crosswire.errors import ConfigError, UsageError
from crosswire.types import Close

if TYPE_CHECKING:
    Imported = int


class Socket:
    """A stand-in for the server's class."""


class Special(Socket):
    pass


class HasUser(Protocol):
    user: str


class JoinRoom(msgspec.Struct):
    room_id: str


@dataclass
class Point:
    x: int


class Named(TypedDict):
    name: str


AnySocket = TypeVar("AnySocket", bound=Socket)
NodeName = NewType("NodeName", str)
NodeNumber = NewType("NodeNumber", int)

EVENT = Arguments(data=True, socket=Socket)
NODE_EVENT = Arguments(data=True, sender=str)
CLIENT_EVENT = Arguments(data=True)
CONNECT = Arguments(socket=Socket)
DISCONNECT = Arguments(socket=Socket, close=Close)
MESSAGE = Arguments(socket=Socket, raw=(str, bytes))
ERROR = Arguments(socket=Socket, exc=BaseException)
PONG = Arguments(milliseconds=float)
RECONNECT = Arguments(attempt=int, delay=float)
REQUEST = Arguments(request=Named)
START = Arguments()


def taken(handler: Callable[..., Any], arguments: Arguments) -> tuple[int, Any]:
    arity, data, _ = inspect_handler(handler, arguments, "the event 'say'")
    return arity, data


def two(socket: Any, data: JoinRoom) -> None: ...
def untyped(socket, data): ...  # type: ignore[no-untyped-def]
def one(socket: Any) -> None: ...
def none() -> None: ...
def optional(socket: Any, data: int = 5, more: str = "", *, option: bool = True) -> None: ...
def anything(*args: Any, **kwargs: Any) -> None: ...
def typed_and_more(socket: Any, data: JoinRoom, *more: Any) -> None: ...
def for_checkers(socket: Imported, data: JoinRoom) -> Imported: ...  # type: ignore[empty-body]
def bound(database: Any, socket: Any, data: JoinRoom) -> None: ...
def generic(socket: AnySocket, data: JoinRoom) -> AnySocket: ...  # type: ignore[empty-body]
def structural(socket: HasUser, data: JoinRoom) -> None: ...
def broad(socket: object, data: list[Point] | None) -> None: ...
def narrow(socket: Special | None, data: Named) -> None: ...
def annotated(socket: Annotated[Socket, "mine"], data: Annotated[int, msgspec.Meta(gt=0)]) -> None: ...


@wraps(two)
def decorated(*args: Any) -> None: ...


class Handlers:
    def method(self, socket: Any, data: JoinRoom) -> None: ...

    @classmethod
    def for_class(cls, socket: Any, data: JoinRoom) -> None: ...

    @staticmethod
    def static(socket: Any, data: JoinRoom) -> None: ...

    def __call__(self, socket: Any, data: JoinRoom) -> None: ...


@pytest.mark.parametrize(
    ("handler", "arity", "annotation"),
    [
        (two, 2, JoinRoom),
        (untyped, 2, Any),
        (one, 1, Any),
        (none, 0, Any),
        (optional, 2, int),
        (anything, 2, Any),
        (typed_and_more, 2, JoinRoom),
        (for_checkers, 2, JoinRoom),
        (generic, 2, JoinRoom),
        (structural, 2, JoinRoom),
        (broad, 2, list[Point] | None),
        (narrow, 2, Named),
        (annotated, 2, Annotated[int, msgspec.Meta(gt=0)]),
        (decorated, 2, JoinRoom),
        (partial(bound, "database"), 2, JoinRoom),
        (partial(partial(bound, "database")), 2, JoinRoom),
        (partial(two, data=JoinRoom("1")), 1, Any),
        (Handlers().method, 2, JoinRoom),
        (Handlers.for_class, 2, JoinRoom),
        (Handlers.static, 2, JoinRoom),
        (vars(Handlers)["static"], 2, JoinRoom),
        (Handlers(), 2, JoinRoom),
        (lambda socket, data: None, 2, Any),
        (lambda s, payload=None: None, 2, Any),
        (lambda socket, data, name="n": None, 2, Any),
        (print, 2, Any),
        ([].append, 1, Any),
        ({}.update, 2, Any),
        (Mock(), 2, Any),
    ],
)
def test_a_handlers_signature_says_what_it_takes(handler: Any, arity: int, annotation: Any) -> None:
    assert taken(handler, EVENT) == (arity, annotation)


def hands_on(inner: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a handler with one that takes any arguments, and might add some."""

    @wraps(inner)
    def outer(*args: Any, **kwargs: Any) -> Any:
        return inner(*args, **kwargs)

    return outer


def passes_two(inner: Callable[..., Any], outer: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """Decorate a handler with one that takes a socket and data, or the arguments of ``outer``."""

    def usual(socket, data): ...  # type: ignore[no-untyped-def]

    return wraps(inner)(outer or usual)


def injected(socket: Socket, data: JoinRoom, database: list[int]) -> None: ...
def injected_first(database: list[int], socket: Socket, data: JoinRoom) -> None: ...
def injected_by_name(socket: Socket, data: JoinRoom, *, database: list[int]) -> None: ...
def injected_twice(socket: Socket, one: int, two: int) -> None: ...
def for_a_user(user: Point, data: JoinRoom) -> None: ...
def only_the_data(data: JoinRoom) -> None: ...
def renamed(s, d): ...  # type: ignore[no-untyped-def]
def only_the_socket(socket): ...  # type: ignore[no-untyped-def]


@pytest.mark.parametrize(
    ("handler", "arity", "annotation"),
    [
        (hands_on(two), 2, JoinRoom),
        (hands_on(hands_on(two)), 2, JoinRoom),
        (hands_on(one), 1, Any),
        (hands_on(injected), 2, JoinRoom),
        (hands_on(injected_first), 2, JoinRoom),
        (hands_on(injected_by_name), 2, JoinRoom),
        (hands_on(injected_twice), 2, Any),
        (passes_two(two), 2, JoinRoom),
        (passes_two(two, renamed), 2, JoinRoom),
        (passes_two(two, only_the_socket), 1, Any),
        (passes_two(injected), 2, JoinRoom),
        (passes_two(only_the_data), 2, JoinRoom),
        (passes_two(for_a_user), 2, JoinRoom),
        (functools.lru_cache(two), 2, JoinRoom),
    ],
)
def test_a_decorated_handler_is_called_as_its_decorator_takes(handler: Any, arity: int, annotation: Any) -> None:
    assert taken(handler, EVENT) == (arity, annotation)


def test_a_decorated_handler_may_return_something_else() -> None:
    def number(socket: Socket) -> int:
        return 5

    assert inspect_handler(number, EVENT, "it").returns is int
    assert inspect_handler(hands_on(number), EVENT, "it").returns is Any


class Rooms:
    class Join(msgspec.Struct):
        room: str

    def join(self, socket: Socket, data: Join) -> None: ...

    @classmethod
    def of_class(cls, socket: Socket, data: Join) -> None: ...

    def __call__(self, socket: Socket, data: Join) -> None: ...


class MoreRooms(Rooms):
    pass


@pytest.mark.parametrize(
    "handler", [Rooms().join, MoreRooms().join, MoreRooms.of_class, Rooms(), partial(Rooms().join)]
)
def test_a_type_may_be_defined_in_the_class_of_a_method(handler: Any) -> None:
    assert taken(handler, EVENT) == (2, Rooms.Join)


def test_a_type_may_be_defined_in_a_function_around_the_one_that_registers() -> None:
    class Local(msgspec.Struct):
        number: int

    events = EventListeners(socket=Socket)

    def attach() -> None:
        @events.on("say")
        def say(socket: Socket, data: Local) -> None: ...

    attach()
    assert events.of("say")[0].payload.annotation is Local


def test_a_type_may_be_a_variable_that_the_handler_closes_over() -> None:
    def make() -> Callable[..., Any]:
        class Local(msgspec.Struct):
            number: int

        def say(socket: Socket, data: Local) -> Local:
            return Local(data.number)

        return say

    assert taken(make(), EVENT)[1].__name__ == "Local"


def on_close_or_reset(reset: bool = False) -> None: ...
def with_a_default(name: str = "n") -> None: ...
def hears_text(socket: Socket, raw: str) -> None: ...
def fails(socket: Socket, exc: Exception) -> None: ...
def from_a_node(sender: NodeName, data: NodeNumber) -> None: ...
def from_some(sender: Literal["a", "b"], data: NodeNumber) -> None: ...
def pong(seconds: float) -> None: ...
def wait(attempt: float, delay: float) -> None: ...


@pytest.mark.parametrize(
    ("handler", "arguments", "arity"),
    [
        (on_close_or_reset, Arguments(close=Close), 0),
        (with_a_default, CONNECT, 0),
        (lambda name="n": None, CONNECT, 0),
        (lambda name="n": None, EVENT, 0),
        (lambda socket, name="n": None, DISCONNECT, 1),
        (lambda socket="s", close="c": None, DISCONNECT, 2),
        (hears_text, MESSAGE, 2),
        (fails, ERROR, 2),
        (from_a_node, NODE_EVENT, 2),
        (from_some, NODE_EVENT, 2),
        (pong, PONG, 1),
        (wait, RECONNECT, 2),
        (lambda message: None, CLIENT_EVENT, 1),
        (lambda error: None, CLIENT_EVENT, 1),
        (lambda sender, data: None, EVENT, 2),
        (lambda sender: None, CLIENT_EVENT, 1),
        (lambda socket, message: None, MESSAGE, 2),
        (lambda: None, START, 0),
        (anything, START, 0),
    ],
)
def test_a_handler_that_might_be_right_is_accepted(handler: Any, arguments: Arguments, arity: int) -> None:
    assert inspect_handler(handler, arguments, "it").arity == arity


def three(socket: Any, data: Any, more: Any) -> None: ...
def three_and_more(socket: Any, data: Any, more: Any, *rest: Any) -> None: ...
def by_keyword(socket: Any, *, key: str) -> None: ...
def all_but_by_keyword(*args: Any, key: str) -> None: ...
def only_data(data: dict[str, Any]) -> None: ...
def only_a_struct(room: JoinRoom) -> None: ...
def only_a_typed_dict(named: Named) -> None: ...
def only_a_number(count: int | None) -> None: ...
def only_a_list(items: list[Socket]) -> None: ...
def only_a_class(which: type[Socket]) -> None: ...
def only_a_literal(which: Literal["a"]) -> None: ...
def only_a_name(name: NodeName) -> None: ...
def only_nothing(nothing: None) -> None: ...
def only_unresolved(data: Imported) -> None: ...
def swapped(data: dict[str, Any], socket: Socket) -> None: ...
def swapped_plain(data, socket): ...  # type: ignore[no-untyped-def]
def half_swapped(one, socket): ...  # type: ignore[no-untyped-def]
def two_sockets(one: Socket, two: Socket) -> None: ...
def optional_data(data: dict[str, Any] = {}) -> None: ...  # noqa: B006
async def later(data: JoinRoom) -> None: ...
def untyped_by_keyword(socket, *, key): ...  # type: ignore[no-untyped-def]
def three_with_self(self, socket, data): ...  # type: ignore[no-untyped-def]


class Unbound:
    def alone(self) -> None: ...
    def plain(self, socket, data): ...  # type: ignore[no-untyped-def]
    async def typed(self, socket: Socket, data: JoinRoom) -> None: ...
    def of_class(cls, data): ...  # type: ignore[no-untyped-def] # noqa: N805


async def async_generator(socket: Any, data: Any) -> AsyncIterator[int]:
    yield 1


def generator(socket: Any, data: Any) -> Iterator[int]:
    yield 1


class Generates:
    def __call__(self, socket: Any) -> Iterator[int]:
        yield 1

    async def method(self, socket: Any) -> AsyncIterator[int]:
        yield 1

    @staticmethod
    def static() -> Iterator[int]:
        yield 1

    @classmethod
    def for_class(cls, socket: Any) -> None: ...


@pytest.mark.parametrize(
    ("handler", "arguments", "text"),
    [
        (three, EVENT, "three needs 3 arguments; a handler of the event 'say' is called with (socket, data)"),
        (three_and_more, EVENT, "three_and_more needs 3 arguments"),
        (by_keyword, EVENT, "by_keyword needs 2 arguments, key by keyword"),
        (all_but_by_keyword, EVENT, "all_but_by_keyword needs 1 argument, key by keyword"),
        (partial(bound, database=1), EVENT, "socket, data by keyword"),
        (lambda a, b, c: None, EVENT, "write lambda socket, data: ..."),
        (only_data, EVENT, "would get the socket as 'data: dict[str, Any]'"),
        (only_data, EVENT, "write def only_data(socket, data: dict[str, Any])"),
        (only_a_struct, EVENT, "would get the socket"),
        (only_a_typed_dict, EVENT, "would get the socket"),
        (only_a_number, EVENT, "would get the socket"),
        (only_a_list, EVENT, "would get the socket"),
        (only_a_class, EVENT, "would get the socket"),
        (only_a_literal, EVENT, "would get the socket"),
        (only_a_name, EVENT, "would get the socket"),
        (only_nothing, EVENT, "would get the socket"),
        (only_unresolved, EVENT, "would get the socket"),
        (later, EVENT, "would get the socket"),
        (partial(bound, "database", "socket"), Arguments(socket=Socket), "would get the socket"),
        (lambda data: None, EVENT, "would get the socket as 'data'"),
        (lambda payload: None, EVENT, "would get the socket as 'payload'"),
        (lambda message: None, CONNECT, "would get the socket as 'message'"),
        (lambda error: None, ERROR, "would get the socket as 'error'"),
        (lambda close: None, DISCONNECT, "would get the socket as 'close'"),
        (lambda handshake: None, CONNECT, "would get the socket as 'handshake'"),
        (lambda socket: None, Arguments(handshake=JoinRoom), "would get the handshake as 'socket'"),
        (lambda socket, data: None, NODE_EVENT, "would get the sender as 'socket'"),
        (optional_data, EVENT, "would get the socket"),
        (swapped, EVENT, "would get the socket"),
        (swapped_plain, EVENT, "would get the socket as 'data'"),
        (half_swapped, EVENT, "would get the data as 'socket'"),
        (two_sockets, EVENT, "would get the data"),
        (lambda socket, name="n": None, EVENT, "would get the data as 'name', whose default may be"),
        (only_a_number, NODE_EVENT, "would get the sender"),
        (swapped, NODE_EVENT, "would get the sender"),
        (one, START, "needs 1 argument; a handler of the event 'say' is called with no arguments"),
        (two, CONNECT, "two needs 2 arguments"),
        (two, CLIENT_EVENT, "two needs 2 arguments"),
        (fails, MESSAGE, "would get the raw"),
        (only_a_list, PONG, "would get the milliseconds"),
        (Unbound.alone, EVENT, "as a method without an object"),
        (Unbound.plain, EVENT, "for example in __init__: self.plain"),
        (Unbound.typed, EVENT, "as a method without an object"),
        (Unbound.of_class, EVENT, "as a method without an object"),
        (lambda self: None, CLIENT_EVENT, "as a method without an object"),
        (async_generator, EVENT, "it has a yield"),
        (generator, EVENT, "it has a yield"),
        (partial(generator, "socket"), CLIENT_EVENT, "it has a yield"),
        (Generates(), EVENT, "it has a yield"),
        (Generates().method, EVENT, "it has a yield"),
        (vars(Generates)["static"], EVENT, "it has a yield"),
        (vars(Generates)["for_class"], EVENT, "register it from outside"),
        (generator(1, 2), EVENT, "give the function itself, without calling it"),
        (async_generator(1, 2), EVENT, "give the function itself, without calling it"),
        (Socket, EVENT, "give a function"),
        (JoinRoom, EVENT, "give a function"),
        (dict, EVENT, "give a function"),
        (partial(untyped_by_keyword, *"12"), EVENT, "untyped_by_keyword can't be a handler"),
        (partial(three), EVENT, "write def three(socket, data: Any)"),
        (hands_on(three_with_self), EVENT, "as a method without an object"),
        (hands_on(only_data), EVENT, "would get the socket as 'data: dict[str, Any]'"),
        (passes_two(two, lambda a, b, c: None), EVENT, "needs 3 arguments"),
    ],
)
def test_a_handler_that_cannot_be_right_is_refused(handler: Any, arguments: Arguments, text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        inspect_handler(handler, arguments, "the event 'say'")
    assert text in str(refused.value)


def test_a_coroutine_object_is_refused() -> None:
    coroutine = later(JoinRoom("1"))
    with pytest.raises(ConfigError, match="without calling it"):
        inspect_handler(coroutine, EVENT, "say")  # type: ignore[arg-type]
    coroutine.close()


@pytest.mark.parametrize("handler", ["handler", 5, None, property(one), functools.partialmethod(one)])
def test_an_object_that_cannot_be_called_is_refused(handler: Any) -> None:
    with pytest.raises(UsageError, match="must be callable"):
        inspect_handler(handler, EVENT, "say")


def test_a_decorated_method_in_a_class_body_is_refused() -> None:
    events = EventListeners(socket=Socket)
    with pytest.raises(ConfigError, match=r"self\.say"):

        class Chat:
            @events.on("say")
            def say(self, data: JoinRoom) -> None: ...

    class Right:
        def __init__(self) -> None:
            events.on("say", self.say)

        def say(self, socket: Socket, data: JoinRoom) -> None: ...

    Right()
    assert [each.arity for each in events.of("say")] == [2]


def test_a_refused_handler_changes_nothing() -> None:
    events = EventListeners(socket=Socket)
    events.on("say", two)
    for handler in (three, only_data, generator, Unbound.plain):
        with pytest.raises(ConfigError):
            events.on("say", handler)
        with pytest.raises(ConfigError):
            events.on("say", once=True)(handler)
    assert [each.handler for each in events.of("say")] == [two]


def test_an_annotation_that_cannot_be_resolved_is_refused() -> None:
    def handler(socket: Any, data: Imported) -> None: ...

    with pytest.raises(ConfigError, match=r"'Imported' of .*handler can't be resolved"):
        inspect_handler(handler, EVENT, "say")


def test_a_type_may_be_defined_where_the_handler_is_registered() -> None:
    class Local(msgspec.Struct):
        room_id: str

    listeners = EventListeners(socket=Socket)

    @listeners.on("join")
    def join(socket: object, data: Local) -> None: ...

    assert listeners.of("join")[0].payload.annotation is Local


class CalledLater:
    async def __call__(self, socket: Any) -> None: ...

    @staticmethod
    async def static(socket: Any) -> None: ...


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        (one, False),
        (later, True),
        (partial(later), True),
        (CalledLater(), True),
        (vars(CalledLater)["static"], True),
        (asyncio.sleep, True),
        (AsyncMock(), True),
        (Mock(), False),
    ],
)
def test_whether_a_handler_is_asynchronous(handler: Any, expected: bool) -> None:
    assert is_async(handler) is expected


NAMES = ["socket", "data", "x", "message", "close"]


@given(st.lists(st.sampled_from(NAMES), max_size=4, unique=True), st.sampled_from([None, Socket, dict, JoinRoom, Any]))
def test_a_handler_gets_what_it_was_offered_or_is_refused(names: list[str], annotation: Any) -> None:
    """An accepted handler can be called, whatever its parameters are, and none gets the socket as its data."""
    namespace: dict[str, Any] = {}
    exec(f"def handler({', '.join(names)}): return locals()", namespace)
    handler = namespace["handler"]
    if names and annotation is not None:
        handler.__annotations__[names[0]] = annotation
    try:
        arity = inspect_handler(handler, EVENT, "say").arity
    except ConfigError:
        right = len(names) <= 2 and names[:1] in ([], ["socket"], ["x"]) and "socket" not in names[1:]
        assert not right or annotation in (dict, JoinRoom)
        return
    got = handler(*("the socket", "the data")[:arity])
    assert set(got) == set(names)
    if annotation is not Socket:
        assert got.get("data") in (None, "the data")
        assert got.get("socket") in (None, "the socket")
