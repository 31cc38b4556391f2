from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest

from crosswire.core.codecs import JSON, MSGPACK, NODE_MSGPACK, Codec
from crosswire.core.listeners import EventListeners, Hook, Listener, remove
from crosswire.core.signatures import Arguments
from crosswire.errors import ConfigError, UsageError


def first(socket: Any, data: Any) -> None: ...
def second(socket: Any, data: int) -> None: ...
async def later(socket: Any) -> None: ...


class AsyncCallable:
    async def __call__(self, socket: Any) -> None: ...


class Counter:
    def count(self) -> None: ...


def handlers(listeners: tuple[Listener, ...]) -> list[Callable[..., Any]]:
    return [listener.handler for listener in listeners]


@pytest.fixture
def events() -> EventListeners:
    return EventListeners(socket=str)


@pytest.fixture
def hook() -> Hook[[str]]:
    return Hook("on_connect", Arguments(socket=str))


def test_handlers_are_kept_in_the_order_they_were_added(events: EventListeners) -> None:
    events.on("say", second)
    events.on("say", first)
    events.on("other", later)
    assert handlers(events.of("say")) == [second, first]
    assert handlers(events.take("say")) == [second, first]
    assert events.of("unknown") == ()


def test_the_only_handler_of_an_event_is_found_while_it_is_the_only_one_and_stays(events: EventListeners) -> None:
    def sole() -> Callable[..., Any] | None:
        found = events.find_sole("say")
        return None if found is None else found.handler

    assert sole() is None
    events.on("say", first)
    assert sole() is first
    events.on("say", second)
    assert sole() is None
    events.off("say", first)
    assert sole() is second
    events.off("say")
    assert sole() is None
    events.on("say", first, once=True)
    assert sole() is None
    events.remove_once("say", events.of("say"))
    events.on_protocol("say", second)
    assert sole() is second
    assert events.find_sole(None) is None


def test_on_returns_the_handler_directly_and_as_a_decorator(events: EventListeners) -> None:
    assert events.on("say", first) is first
    assert events.on("say", once=True, tag="t")(second) is second
    assert [(each.once, each.tag) for each in events.of("say")] == [(False, None), (True, "t")]


def test_a_listener_knows_how_it_is_called(events: EventListeners) -> None:
    for handler in (second, later, partial(later), AsyncCallable(), print):
        events.on("say", handler)
    listeners = events.of("say")
    assert [each.arity for each in listeners] == [2, 1, 1, 1, 2]
    assert [each.is_async for each in listeners] == [False, True, True, True, False]
    assert listeners[0].payload.annotation is int


@pytest.mark.parametrize("codec", [JSON, NODE_MSGPACK, MSGPACK])
def test_the_function_that_calls_a_handler_is_made_once_for_each_codec(events: EventListeners, codec: Codec) -> None:
    events.on("say", lambda socket, data: data)
    (listener,) = events.of("say")
    assert listener.call_as(codec) is listener.call_as(codec)
    assert listener.call_as(codec)(None, msgspec.Raw(codec.encode(5))) == 5


def test_a_listener_added_with_once_is_taken_once(events: EventListeners) -> None:
    events.on("say", first, once=True)
    events.on("say", second)
    assert handlers(events.of("say")) == [first, second]
    assert handlers(events.take("say")) == [first, second]
    assert handlers(events.take("say")) == [second]


def test_the_last_listener_added_with_once_leaves_nothing(events: EventListeners) -> None:
    events.on("say", first, once=True)
    events.take("say")
    assert events.take("say") == ()


def test_off_removes_a_handler_wherever_it_is(events: EventListeners) -> None:
    for handler in (first, second, first):
        events.on("say", handler)
    events.on("other", first)
    events.off("say", first)
    assert handlers(events.of("say")) == [second]
    assert handlers(events.of("other")) == [first]


def test_off_takes_a_bound_method_that_is_equal(events: EventListeners) -> None:
    counter, other = Counter(), Counter()
    events.on("say", counter.count)
    events.on("say", other.count)
    events.off("say", counter.count)
    assert handlers(events.of("say")) == [other.count]


@pytest.mark.parametrize("tag", ["t", 7])
def test_off_removes_all_with_a_tag(events: EventListeners, tag: str | int) -> None:
    events.on("say", first, tag=tag)
    events.on("say", second, tag="else")
    events.on("say", later)
    events.on("say", first, tag=tag)
    events.off("say", tag)
    assert handlers(events.of("say")) == [second, later]


def test_off_with_only_a_name_removes_all_listeners(events: EventListeners) -> None:
    events.on("say", first)
    events.on("say", second)
    events.off("say")
    assert events.of("say") == ()


def test_off_of_what_is_not_there_does_nothing(events: EventListeners) -> None:
    events.on("say", first)
    events.off("say", second)
    events.off("say", "tag")
    events.off("unknown")
    assert handlers(events.of("say")) == [first]


def test_changes_during_a_delivery_count_from_the_next(events: EventListeners) -> None:
    events.on("say", first)
    delivered = events.take("say")
    events.on("say", second)
    events.off("say", first)
    assert handlers(delivered) == [first]
    assert handlers(events.of("say")) == [second]


@pytest.mark.parametrize("name", ["", "$reserved", 5, None])
def test_an_events_name_is_checked_where_it_is_given(events: EventListeners, name: Any) -> None:
    with pytest.raises(UsageError):
        events.on(name, first)
    with pytest.raises(UsageError):
        events.on(name)
    with pytest.raises(UsageError):
        events.off(name)


def test_a_handler_is_checked_where_it_is_given(events: EventListeners, hook: Hook[[str]]) -> None:
    with pytest.raises(UsageError, match="must be callable, not str"):
        events.on("say", "handler")  # type: ignore[call-overload]
    with pytest.raises(ConfigError, match="needs 2 arguments"):
        hook(first)  # type: ignore[arg-type] # pyright: ignore[reportCallIssue, reportArgumentType]
    assert events.of("say") == ()
    assert not hook


def test_a_hook_is_true_while_somebody_listens(hook: Hook[[str]]) -> None:
    assert not hook
    assert hook(later) is later
    assert hook
    hook.off(later)
    assert not hook


def test_a_hook_decorates_with_and_without_options(hook: Hook[[str]]) -> None:
    assert hook()(later) is later
    assert hook(once=True, tag="t")(print) is print
    listeners = hook.take()
    assert [(each.handler, each.once, each.tag, each.arity) for each in listeners] == [
        (later, False, None, 1),
        (print, True, "t", 1),
    ]
    assert handlers(hook.take()) == [later]


def test_a_hook_removes_by_handler_by_tag_and_all(hook: Hook[[str]]) -> None:
    for tag in ("a", "b", None):
        hook(later, tag=tag)
    hook(print)
    hook.off("a")
    assert [each.tag for each in hook.take()] == ["b", None, None]
    hook.off(later)
    assert handlers(hook.take()) == [print]
    hook.off()
    assert hook.take() == ()


class Hooks:
    """A hook, and what is none."""

    def __init__(self) -> None:
        self.on_open: Hook[[]] = Hook("on_open")

    def close(self) -> None:
        pytest.fail("it is no hook")


@pytest.mark.parametrize("tag", [None, "mine"])
def test_a_handler_is_removed_from_an_event_or_from_a_hook_of_that_name(tag: str | None) -> None:
    events, hooks = EventListeners(), Hooks()
    for name in ("say", "on_open", "close"):
        events.on(name, print, tag="mine")
    hooks.on_open(print, tag="mine")
    remove("say", tag, events, hooks)
    assert [bool(events.of(name)) for name in ("say", "on_open", "close")] == [False, True, True]
    remove(hooks.on_open, tag, events, hooks)
    assert not hooks.on_open
    assert events.of("on_open")
    hooks.on_open(print, tag="mine")
    for name in ("on_open", "close"):
        remove(name, tag, events, hooks)
        assert not events.of(name)
    assert not hooks.on_open
