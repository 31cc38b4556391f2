"""Handlers of events and hooks, in the order in which they were added, with tags."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar, overload

from crosswire.core.codecs import JSON, NODE_MSGPACK, Codec
from crosswire.core.decoded_calls import DecodedCall, decoded_call
from crosswire.core.names import require_event
from crosswire.core.payload_types import PayloadType, payload_type
from crosswire.core.return_types import return_type
from crosswire.core.signatures import NO_ARGUMENTS, Arguments, inspect_handler, is_async

Handler = Callable[..., Any]
HandlerT = TypeVar("HandlerT", bound=Handler)
P = ParamSpec("P")
R = TypeVar("R")
Tag = str | int

if TYPE_CHECKING:  # type checkers know defaults of a ParamSpec, Python does from 3.13 on
    from typing_extensions import ParamSpec as ParamSpecWithDefault

    Fewer = ParamSpecWithDefault("Fewer", default=[])
else:
    Fewer = ParamSpec("Fewer")


class Listener:
    """A registered handler, and how to call it.

    Args:
        handler: function or method of the application.
        arguments: the arguments that the event or the hook offers.
        what: what it handles, for errors: "the event 'say'".
        once: whether it is removed before its first call.
        tag: the user's label for ``off``.

    Raises:
        UsageError: the handler can't be called.
        ConfigError: its parameters can't be right; the text says what to write instead.

    Attributes:
        handler: as given.
        arity: number of arguments to call it with.
        takes_data: whether the last of these arguments is the data of an event.
        payload: for a handler of an event, the type that the data is validated against.
        returns: for an asynchronous handler of an event, the type that what is awaited is to be checked against; None
            if it is not checked, or by the call.
        call_json: for a handler of an event, calls it with a subject and data in JSON.
        call_msgpack: the same with MessagePack as nodes use it.
        is_async: whether calling it returns an awaitable.
        once: whether it is removed before its first call.
        tag: the user's label for ``off``.
    """

    __slots__ = (
        "_calls",
        "_returns",
        "arity",
        "call_json",
        "call_msgpack",
        "handler",
        "is_async",
        "once",
        "payload",
        "returns",
        "tag",
        "takes_data",
    )

    def __init__(
        self, handler: Handler, arguments: Arguments, what: str, *, once: bool = False, tag: Tag | None = None
    ) -> None:
        info = inspect_handler(handler, arguments, what)
        self.handler = handler
        self.arity = info.arity
        self.takes_data = arguments.data and info.arity == len(arguments)
        self.payload: PayloadType = payload_type(info.data)
        self.is_async = is_async(handler)
        returns = return_type(info.returns) if arguments.data else None
        self.returns = returns if self.is_async else None
        self._returns = None if self.is_async else returns
        self.once = once
        self.tag = tag
        self._calls: dict[Codec, DecodedCall] = {}
        self.call_json = self.call_as(JSON)
        self.call_msgpack = self.call_as(NODE_MSGPACK)

    def call_as(self, codec: Codec) -> DecodedCall:
        """Return the function that calls a handler of an event with data that the codec decodes."""
        call = self._calls.get(codec)
        if call is None:
            call = decoded_call(
                self.handler, codec, self.payload, self._returns, arity=self.arity, takes_data=self.takes_data
            )
            self._calls[codec] = call
        return call

    def matches(self, handler_or_tag: Handler | Tag | None) -> bool:
        """Return whether ``off`` with this argument removes this listener; ``off(None)`` removes every listener."""
        if handler_or_tag is None:
            return True
        return self.handler == handler_or_tag or (self.tag is not None and self.tag == handler_or_tag)


NO_LISTENERS: tuple[Listener, ...] = ()


class EventListeners:
    """Handlers by name of their event.

    The tuple that :meth:`of` returns is never changed: a handler may add and remove handlers while an event is being
    delivered, with effect from the next event on.

    Args:
        kinds: names and classes of the arguments that handlers get before the data.

    Attributes:
        find: as :meth:`of`, but returns None for an event without listeners; the fastest way to them.
        find_sole: returns the listener of an event that has only one, which stays; None for any other event.
    """

    __slots__ = ("_arguments", "_by_event", "_sole", "find", "find_sole")

    def __init__(self, **kinds: type) -> None:
        self._arguments = Arguments(data=True, **kinds)
        self._by_event: dict[str, tuple[Listener, ...]] = {}
        self._sole: dict[str | None, Listener] = {}
        self.find: Callable[[str], tuple[Listener, ...] | None] = self._by_event.get
        self.find_sole: Callable[[str | None], Listener | None] = self._sole.get

    @overload
    def on(self, event: str, handler: HandlerT, *, once: bool = False, tag: Tag | None = None) -> HandlerT: ...
    @overload
    def on(
        self, event: str, handler: None = None, *, once: bool = False, tag: Tag | None = None
    ) -> Callable[[HandlerT], HandlerT]: ...
    def on(self, event: str, handler: Any = None, *, once: bool = False, tag: Tag | None = None) -> Any:
        """Add a handler and return it; without a handler, return a decorator that adds one."""
        require_event(event)
        if handler is None:
            return lambda function: self.on(event, function, once=once, tag=tag)
        listener = Listener(handler, self._arguments, f"the event {event!r}", once=once, tag=tag)
        self._replace(event, (*self.of(event), listener))
        return handler

    def on_protocol(self, event: str, handler: Handler) -> None:
        """Add the handler of an event of the protocol itself, which no application can add or remove."""
        self._replace(event, (Listener(handler, self._arguments, f"the event {event!r}"),))

    def off(self, event: str, handler_or_tag: Handler | Tag | None = None) -> None:
        """Remove handlers of an event: the given handler, the handlers with the given tag, or all."""
        require_event(event)
        kept = tuple(each for each in self.of(event) if not each.matches(handler_or_tag))
        self._replace(event, kept)

    def of(self, event: str) -> tuple[Listener, ...]:
        """Return the event's listeners, in the order they were added."""
        return self._by_event.get(event, NO_LISTENERS)

    def take(self, event: str) -> tuple[Listener, ...]:
        """Return the event's listeners to be called now, and remove those that were added with ``once``."""
        listeners = self._by_event.get(event, NO_LISTENERS)
        for listener in listeners:
            if listener.once:
                self._replace(event, tuple(each for each in listeners if not each.once))
                break
        return listeners

    def remove_once(self, event: str, called: Collection[Listener]) -> None:
        """Remove the listeners added with ``once`` that are about to be called."""
        self._replace(event, tuple(each for each in self.of(event) if not (each.once and each in called)))

    def _replace(self, event: str, listeners: tuple[Listener, ...]) -> None:
        if listeners:
            self._by_event[event] = listeners
        else:
            self._by_event.pop(event, None)
        if len(listeners) == 1 and not listeners[0].once:
            self._sole[event] = listeners[0]
        else:
            self._sole.pop(event, None)


class HookDecorator(Protocol[P, Fewer]):
    """Decorator that attaches a handler to a hook; the handler may take fewer arguments."""

    @overload
    def __call__(self, handler: Callable[P, R], /) -> Callable[P, R]: ...
    @overload
    def __call__(self, handler: Callable[Fewer, R], /) -> Callable[Fewer, R]: ...
    @overload
    def __call__(self, handler: Callable[[], R], /) -> Callable[[], R]: ...


class Hook(Generic[P, Fewer]):
    """A lifecycle event that the application can handle; no message of a client can trigger it.

    Call it to attach a handler, directly or as a decorator::

        @server.on_connect
        def greet(socket): ...

        server.on_connect(greet, once=True, tag="greeting")
        server.on_connect.off("greeting")

    The first type parameter stands for all the arguments of a handler. The second stands for the arguments of a handler
    that takes only the first of two.

    Args:
        name: name of the hook.
        arguments: arguments that its handlers are called with.

    Attributes:
        name: as given.
        listeners: attached handlers, in order; ``if hook.listeners`` is faster than ``if hook``.
    """

    __slots__ = ("_arguments", "listeners", "name")

    def __init__(self, name: str, arguments: Arguments = NO_ARGUMENTS) -> None:
        self.name = name
        self._arguments = arguments
        self.listeners: tuple[Listener, ...] = NO_LISTENERS

    @overload
    def __call__(self, handler: Callable[P, R], *, once: bool = False, tag: Tag | None = None) -> Callable[P, R]: ...
    @overload
    def __call__(
        self, handler: Callable[Fewer, R], *, once: bool = False, tag: Tag | None = None
    ) -> Callable[Fewer, R]: ...
    @overload
    def __call__(self, handler: Callable[[], R], *, once: bool = False, tag: Tag | None = None) -> Callable[[], R]: ...
    @overload
    def __call__(
        self, handler: None = None, *, once: bool = False, tag: Tag | None = None
    ) -> HookDecorator[P, Fewer]: ...
    def __call__(self, handler: Any = None, *, once: bool = False, tag: Tag | None = None) -> Any:
        """Attach a handler and return it; without a handler, return a decorator that attaches one.

        Raises:
            UsageError: the handler can't be called.
            ConfigError: its parameters can't be right.
        """
        if handler is None:
            return lambda function: self(function, once=once, tag=tag)
        listener = Listener(handler, self._arguments, self.name, once=once, tag=tag)
        self.listeners = (*self.listeners, listener)
        return handler

    def off(self, handler_or_tag: Handler | Tag | None = None) -> None:
        """Remove the given handler, the handlers with the given tag, or all handlers."""
        self.listeners = tuple(each for each in self.listeners if not each.matches(handler_or_tag))

    def take(self) -> tuple[Listener, ...]:
        """Return the listeners to be called now, and remove those that were attached with ``once``."""
        listeners = self.listeners
        for listener in listeners:
            if listener.once:
                self.listeners = tuple(each for each in listeners if not each.once)
                break
        return listeners

    def __bool__(self) -> bool:
        return bool(self.listeners)


AnyHook = Hook[..., ...]


def remove(event: str | AnyHook, handler_or_tag: Handler | Tag | None, events: EventListeners, hooks: object) -> None:
    """Remove handlers of an event and of the hook that has the same name, for the ``off`` of an object with both.

    Args:
        event: name of an event or a hook, or the hook itself.
        handler_or_tag: a handler, or the tag of some handlers; None for all handlers.
        events: handlers of events.
        hooks: object that has the hooks as attributes.
    """
    hook: object = event
    if not isinstance(event, Hook):
        events.off(event, handler_or_tag)
        hook = getattr(hooks, event, None)
    if isinstance(hook, Hook):
        hook.off(handler_or_tag)
