"""Who listens to what: handlers by event, in order, with tags, and hooks."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar, overload

from crosswire.core.names import require_event
from crosswire.core.payloads import PayloadType, payload_type
from crosswire.core.returns import return_type
from crosswire.core.signatures import NOTHING, Offer, examine, is_async

Handler = Callable[..., Any]
HandlerT = TypeVar("HandlerT", bound=Handler)
P = ParamSpec("P")
R = TypeVar("R")
Tag = str | int

if TYPE_CHECKING:  # which know it already; Python does from 3.13 on
    from typing_extensions import ParamSpec as ParamSpecWithDefault

    Fewer = ParamSpecWithDefault("Fewer", default=[])
else:
    Fewer = ParamSpec("Fewer")


class Listener:
    """One registered handler, with what must be known to call it found out once.

    Args:
        handler: what the user gave.
        offer: what it is called with.
        what: it handles, for an error: "the event 'say'".
        once: whether it is removed before its first call.
        tag: the user's label for ``off``.

    Raises:
        UsageError: the handler can't be called.
        ConfigError: it can't be right; the text says what to write instead.

    Attributes:
        handler: what the user gave.
        arity: how many of the offered arguments it takes.
        takes_data: whether the data of an event is one of them.
        payload: the type its last argument is validated against, for an event's handler.
        returns: what its answers are checked against, for an event's handler whose annotation says something.
        is_async: whether calling it gives an awaitable.
        once: whether it is removed before its first call.
        tag: the user's label for ``off``.
    """

    __slots__ = ("arity", "handler", "is_async", "once", "payload", "returns", "tag", "takes_data")

    def __init__(
        self, handler: Handler, offer: Offer, what: str, *, once: bool = False, tag: Tag | None = None
    ) -> None:
        taken = examine(handler, offer, what)
        self.handler = handler
        self.arity = taken.arity
        self.takes_data = offer.data and taken.arity == len(offer)
        self.payload: PayloadType = payload_type(taken.data)
        self.returns = return_type(taken.returns) if offer.data else None
        self.is_async = is_async(handler)
        self.once = once
        self.tag = tag

    def matches(self, handler_or_tag: Handler | Tag | None) -> bool:
        """Whether ``off`` with this argument means this listener; None means all."""
        if handler_or_tag is None:
            return True
        return self.handler == handler_or_tag or (self.tag is not None and self.tag == handler_or_tag)


NONE: tuple[Listener, ...] = ()


class EventListeners:
    """Handlers by event name.

    What :meth:`of` returns is never changed afterwards: a handler may add and remove handlers while an event is
    being delivered, with effect from the next one.

    Args:
        kinds: what a handler is called with in front of the data: the names of the arguments, and their classes.
    """

    __slots__ = ("_by_event", "_offer")

    def __init__(self, **kinds: type) -> None:
        self._offer = Offer(data=True, **kinds)
        self._by_event: dict[str, tuple[Listener, ...]] = {}

    @overload
    def on(self, event: str, handler: HandlerT, *, once: bool = False, tag: Tag | None = None) -> HandlerT: ...
    @overload
    def on(
        self, event: str, handler: None = None, *, once: bool = False, tag: Tag | None = None
    ) -> Callable[[HandlerT], HandlerT]: ...
    def on(self, event: str, handler: Any = None, *, once: bool = False, tag: Tag | None = None) -> Any:
        """Add a handler, or give a decorator that does; it returns the handler."""
        require_event(event)
        if handler is None:
            return lambda function: self.on(event, function, once=once, tag=tag)
        listener = Listener(handler, self._offer, f"the event {event!r}", once=once, tag=tag)
        self._by_event[event] = (*self.of(event), listener)
        return handler

    def off(self, event: str, handler_or_tag: Handler | Tag | None = None) -> None:
        """Remove an event's handlers: the given one, those with the tag, or all."""
        require_event(event)
        kept = tuple(each for each in self.of(event) if not each.matches(handler_or_tag))
        self._replace(event, kept)

    def of(self, event: str) -> tuple[Listener, ...]:
        """The event's listeners, in the order they were added."""
        return self._by_event.get(event, NONE)

    def take(self, event: str) -> tuple[Listener, ...]:
        """As :meth:`of`, for calling them now: those added with ``once`` are removed."""
        listeners = self._by_event.get(event, NONE)
        for listener in listeners:
            if listener.once:
                self._replace(event, tuple(each for each in listeners if not each.once))
                break
        return listeners

    def use_up(self, event: str, called: Collection[Listener]) -> None:
        """Remove those of some listeners that were added with ``once``: they are about to be called."""
        self._replace(event, tuple(each for each in self.of(event) if not (each.once and each in called)))

    def _replace(self, event: str, listeners: tuple[Listener, ...]) -> None:
        if listeners:
            self._by_event[event] = listeners
        else:
            self._by_event.pop(event, None)


class Attach(Protocol[P, Fewer]):
    """Attaches a handler to a hook; it may leave out arguments."""

    @overload
    def __call__(self, handler: Callable[P, R], /) -> Callable[P, R]: ...
    @overload
    def __call__(self, handler: Callable[Fewer, R], /) -> Callable[Fewer, R]: ...
    @overload
    def __call__(self, handler: Callable[[], R], /) -> Callable[[], R]: ...


class Hook(Generic[P, Fewer]):
    """A life event that the application can attach to; no message of a client can trigger it.

    Call it to attach a handler, directly or as a decorator::

        @server.on_connect
        def greet(socket): ...

        server.on_connect(greet, once=True, tag="greeting")
        server.on_connect.off("greeting")

    For type checkers it has the arguments of its handlers, and of a handler that leaves out the last of two.

    Args:
        name: of the hook.
        offer: what its handlers are called with.

    Attributes:
        name: as given.
        listeners: what is attached, in order; where it counts, quicker to look at than the hook's truth.
    """

    __slots__ = ("_offer", "listeners", "name")

    def __init__(self, name: str, offer: Offer = NOTHING) -> None:
        self.name = name
        self._offer = offer
        self.listeners: tuple[Listener, ...] = NONE

    @overload
    def __call__(self, handler: Callable[P, R], *, once: bool = False, tag: Tag | None = None) -> Callable[P, R]: ...
    @overload
    def __call__(
        self, handler: Callable[Fewer, R], *, once: bool = False, tag: Tag | None = None
    ) -> Callable[Fewer, R]: ...
    @overload
    def __call__(self, handler: Callable[[], R], *, once: bool = False, tag: Tag | None = None) -> Callable[[], R]: ...
    @overload
    def __call__(self, handler: None = None, *, once: bool = False, tag: Tag | None = None) -> Attach[P, Fewer]: ...
    def __call__(self, handler: Any = None, *, once: bool = False, tag: Tag | None = None) -> Any:
        """Attach a handler, or give a decorator that does; it returns the handler.

        Raises:
            UsageError: the handler can't be called.
            ConfigError: it can't be right.
        """
        if handler is None:
            return lambda function: self(function, once=once, tag=tag)
        listener = Listener(handler, self._offer, self.name, once=once, tag=tag)
        self.listeners = (*self.listeners, listener)
        return handler

    def off(self, handler_or_tag: Handler | Tag | None = None) -> None:
        """Remove the given handler, those with the tag, or all."""
        self.listeners = tuple(each for each in self.listeners if not each.matches(handler_or_tag))

    def take(self) -> tuple[Listener, ...]:
        """The listeners to call now; those attached with ``once`` are removed."""
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
    """Remove handlers as ``off`` of whoever has both events and hooks does.

    Args:
        event: an event's name, or a hook, itself or the name of its attribute.
        handler_or_tag: the handler, or the tag it was added with; None for all.
        events: the handlers by event.
        hooks: has the hooks as its attributes.
    """
    hook: object = event
    if not isinstance(event, Hook):
        events.off(event, handler_or_tag)
        hook = getattr(hooks, event, None)
    if isinstance(hook, Hook):
        hook.off(handler_or_tag)
