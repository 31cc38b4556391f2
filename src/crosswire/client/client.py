"""The client that an application makes."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, overload

from crosswire.client.calls import Calls, Pending
from crosswire.client.heartbeat import HeartbeatTimer
from crosswire.client.hooks import HandlerT, Hooks
from crosswire.client.observer import ClientObserver
from crosswire.client.options import (
    require_interval,
    require_policy,
    require_subprotocols,
    require_text,
    require_tls,
)
from crosswire.client.reconnection import Reconnection
from crosswire.client.retries import Policy, Retries, reconnects_unless_final
from crosswire.client.room_table import RoomTable
from crosswire.client.router import MessageRouter, Router
from crosswire.client.session import Session, SessionEvents
from crosswire.client.targets import Fresh, Headers, Targets
from crosswire.client.url import Params
from crosswire.core.backoff import Backoff
from crosswire.core.listeners import AnyHook, EventListeners, Handler, Tag, remove
from crosswire.core.messages import RENEW
from crosswire.core.names import require_event
from crosswire.core.options import require_count, require_seconds
from crosswire.core.payload_types import payload_type
from crosswire.core.pending_calls import CallIds
from crosswire.errors import ConfigError, NotConnected
from crosswire.runtime import environment
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.transport.client_connection import Connect, ConnectTarget, connect
from crosswire.types import ANYTHING, T

if TYPE_CHECKING:
    from typing_extensions import TypeForm

HANDLER_TIMEOUT = 1.0
"""Seconds that asynchronous handlers have to end when the client is closed; then they are cancelled."""


class Client:
    """A connection to a Crosswire server, or to an original one, that is made again when it is lost.

    Args:
        url: ``ws://`` or ``wss://``; a query that it has is kept.
        params: added to the query, such as ``{"id": "13"}``; a sequence of values repeats its name. Or a function that
            returns them, sync or async, called before each attempt, as for a token that expires. Its time is part of
            the 10 seconds of the attempt; if it fails, the attempt has failed.
        headers: HTTP fields for the upgrade request, or a function that returns them.
        subprotocols: offered to the server, the favourite first. With ``"crosswire.msgpack"`` messages travel as
            MessagePack if the server agrees.
        tls: for ``wss://``; None trusts the certificate authorities of the system.
        ping_interval: seconds between two heartbeats, or None for none.
        pong_timeout: seconds of silence to wait for a heartbeat's echo; then the connection counts as lost. While
            anything arrives, or leaves before the heartbeat, there is no silence.
        ping_text: the heartbeat's text; it must be the server's.
        call_timeout: seconds that :meth:`call` waits for an answer by default.
        pending_after: seconds after which :meth:`call` calls ``on_pending`` by default.
        fast_retries: number of attempts that come soon after a loss.
        fast_interval: maximum of the delay before each of these attempts, in seconds; doubled for every later attempt.
        max_interval: maximum of every delay, in seconds. A delay is drawn evenly from 0 to its maximum.
        retry_limit: attempts in a row, or None for no limit. A stable connection starts the count at 0.
        stable_after: seconds after which a connection on which the client was let in is stable. The next message of
            the server makes it stable before that.
        reconnect_policy: decides from a :class:`~crosswire.types.Close` whether to try again. The default does unless
            the code is 1008, 4001, 4010, 4011 or 4012. It is asked about an attempt that failed with 1006; with 1008
            if the server refused it with an HTTP status 4xx other than 408, 425 and 429. Once there was a connection,
            403 and 404 are 1006 too, as a proxy may have no server behind it for a while; and 401 if ``params`` or
            ``headers`` is a function. The reason is like ``"HTTP 404"``. If the policy raises, no attempt follows.

    Raises:
        ConfigError: an option can't be used.

    A handler takes the event's data, or nothing. Data that does not fit its annotation does not reach it. An exception
    of a handler goes to ``on_error``, or to the log if that has no handler.

    Attributes:
        on_open: ``()``; the connection is open, the first time and after every loss. Events wait until its handlers
            have ended, for 10 seconds at most. The server may still refuse the client: then :meth:`connect` raises.
        on_close: ``(close)``; an open connection ended. :attr:`reconnecting` tells whether another will be tried. The
            hook is called when the handlers of ``on_open`` have ended, and the next ``on_open`` when its handlers have.
        on_error: ``(exc)``; a handler or an attempt to connect failed.
        on_message: ``(raw)``; every message but heartbeats, as str or bytes, before its handlers; one that was had too.
        on_ping: ``()``; a heartbeat was sent.
        on_pong: ``(milliseconds)``; the echo of a heartbeat came.
        on_pong_timeout: ``()``; no echo came in time, and the connection is about to be dropped.
        on_reconnect: ``(attempt, delay)``; the attempt of that number will be made in ``delay`` seconds.
        on_give_up: ``(limit)``; that many attempts failed, and no more will be made.
        on_room: ``(room)``, a ``RoomState``; the client is in a room that keeps history, or has missed something in it.

    Example::

        client = Client("ws://localhost:9000", params={"id": "13"})

        @client.on("say")
        def say(data: dict):
            print(data)

        async with client:
            print(await client.call("say", {"msg": "hello"}))
    """

    def __init__(
        self,
        url: str,
        *,
        params: Params | Fresh[Params] | None = None,
        headers: Headers | Fresh[Headers] | None = None,
        subprotocols: Iterable[str] = (),
        tls: ssl.SSLContext | None = None,
        ping_interval: float | None = 10,
        pong_timeout: float = 2,
        ping_text: str = "",
        call_timeout: float = 5,
        pending_after: float = 0.1,
        fast_retries: int = 3,
        fast_interval: float = 3,
        max_interval: float = 120,
        retry_limit: int | None = None,
        stable_after: float = 5,
        reconnect_policy: Policy = reconnects_unless_final,
    ) -> None:
        require_policy(reconnect_policy)
        require_tls(tls, url)
        template = ConnectTarget("", subprotocols=require_subprotocols(subprotocols), tls=tls)
        self._rooms = RoomTable()
        self._targets = Targets(url, params, headers, template, self._rooms.offer)
        self._ping_text = require_text("ping_text", ping_text)
        self._stable_after = require_seconds("stable_after", stable_after, zero=True)
        self._call_timeout = require_seconds("call_timeout", call_timeout)
        self._pending_after = require_seconds("pending_after", pending_after, zero=True)
        self._tasks = BackgroundTasks()
        self._listeners = EventListeners()
        if self._targets.renews_parameters:
            self._listeners.on_protocol(RENEW, self._targets.parameters)
        self._ids = CallIds()
        self._hooks = hooks = Hooks(self._tasks)
        self._router = Router(self._listeners, hooks, self._tasks, self._rooms)
        self._message_router: MessageRouter = self._router
        self._observer: ClientObserver | None = None
        self._connector: Connect = connect
        self._heartbeat = HeartbeatTimer(
            require_interval("ping_interval", ping_interval), require_seconds("pong_timeout", pong_timeout), hooks
        )
        retries = Retries(
            Backoff(
                require_count("fast_retries", fast_retries, zero=True),
                require_seconds("fast_interval", fast_interval, zero=True),
                require_seconds("max_interval", max_interval, zero=True),
            ),
            None if retry_limit is None else require_count("retry_limit", retry_limit, zero=True),
            lambda: environment.random(),
        )
        self._reconnection = Reconnection(
            self._open_session, reconnect_policy, retries, hooks, renews_credentials=self._targets.renews_credentials
        )
        self.on_open = hooks.on_open
        self.on_close = hooks.on_close
        self.on_error = hooks.on_error
        self.on_message = hooks.on_message
        self.on_ping = hooks.on_ping
        self.on_pong = hooks.on_pong
        self.on_pong_timeout = hooks.on_pong_timeout
        self.on_reconnect = hooks.on_reconnect
        self.on_give_up = hooks.on_give_up
        self.on_room = hooks.on_room

    # The connection

    async def connect(self) -> None:
        """Wait until the server has let the client in; return at once if it has already.

        A Crosswire server sends a message when it lets the client in. With another server, such as an original one, its
        first message counts as that, or a second without a close. A server that can't be reached is tried again as
        after a loss. If all calls of ``connect`` that wait for the first connection are cancelled, the attempts end.

        Raises:
            Refused: the server did not let the client in, by a close or by an HTTP status such as 401, and the policy
                forbids another attempt.
            NotConnected: ``retry_limit`` was reached, the policy forbids another attempt after another failure, or
                :meth:`close` was called. The text says which; ``close`` tells how the last connection ended.
        """
        await self._reconnection.connect()

    async def close(self) -> None:
        """Close the connection with code 4001, or end the attempts; may be called at any time and again.

        Calls that wait fail with :exc:`NotConnected` at once. Returns when nothing is left: the closing handshake
        has at most 5 seconds, and running handlers have one. The client may be connected again.
        """
        await self._reconnection.stop()
        await self._reconnection.finish_hooks(HANDLER_TIMEOUT)
        if self._reconnection.has_stopped:
            await self._tasks.wait(HANDLER_TIMEOUT)
        if self._reconnection.has_stopped:  # if not, the running handlers belong to a new connection
            self._router.drop()
            await self._tasks.cancel()

    def reconnect(self, reset: bool = False) -> None:
        """Drop the connection, if there is one, and connect again at once, whatever the policy and the limit say.

        Args:
            reset: count attempts from 0 again.
        """
        self._reconnection.retry_now(reset=reset)

    @property
    def reconnecting(self) -> bool:
        """Whether the connection was lost and the client is trying to get it back."""
        return self._reconnection.reconnecting

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # The heartbeat

    @property
    def ping_interval(self) -> float | None:
        """Seconds between two heartbeats, or None for none; a new value takes effect at once."""
        return self._heartbeat.interval

    @ping_interval.setter
    def ping_interval(self, seconds: float | None) -> None:
        self._heartbeat.interval = require_interval("ping_interval", seconds)

    @property
    def latency(self) -> float | None:
        """Milliseconds that the last heartbeat of this connection took, there and back; None before the first."""
        return self._heartbeat.latency

    # Messages

    def send(self, event: str, data: Any = None) -> None:
        """Send an event, without waiting for anything.

        Args:
            event: its name: not empty, not beginning with ``$``.
            data: anything that msgspec encodes: JSON's own types, Structs, dataclasses, datetimes, ... Half of a
                surrogate pair, which has no UTF-8 form, becomes U+FFFD.

        Raises:
            NotConnected: there is no open connection.
            InvalidPayload: the data can't be encoded.
            UsageError: the name can't be used.
        """
        require_event(event)
        self._reconnection.loop_binding.require_thread()
        self._session().send(event, data)

    async def call(
        self,
        event: str,
        data: Any = None,
        *,
        timeout: float | None = None,
        on_pending: Pending | None = None,
        pending_after: float | None = None,
        type: TypeForm[T] = ANYTHING,
    ) -> T:
        """Ask the server and return its answer.

        Args:
            event: as for :meth:`send`.
            data: as for :meth:`send`.
            timeout: seconds to wait for the answer, or ``math.inf``; None: the client's ``call_timeout``.
            on_pending: called without arguments, once, if no answer came within ``pending_after``; sync or async.
            pending_after: seconds; None: the client's.
            type: what the answer is decoded into and must fit: a msgspec Struct, dataclass, TypedDict or builtin type.

        Raises:
            EventError: the server refused; ``code`` and ``message`` are its own.
            CallTimeout: no answer came in time. The server may still have handled the call.
            NotConnected: there is no open connection, or it was lost before the answer came.
            InvalidPayload: the data can't be encoded, or the answer does not fit.
            UsageError: the name can't be used.
            ConfigError: a number of seconds, ``on_pending`` or the type can't be used.

        Example::

            try:
                reply = await client.call("say", {"msg": "hi"}, timeout=2, on_pending=lambda: print("loading ..."))
            except EventError as error:
                print(error.code)
        """
        require_event(event)
        self._reconnection.loop_binding.require_loop()
        answer: T = await self._session().call(
            event,
            data,
            timeout=self._call_timeout if timeout is None else require_seconds("timeout", timeout, endless=True),
            on_pending=on_pending,
            pending_after=self._pending_after
            if pending_after is None
            else require_seconds("pending_after", pending_after, zero=True),
            kind=payload_type(type),
        )
        return answer

    @overload
    def on(self, event: str, handler: HandlerT, *, once: bool = False, tag: Tag | None = None) -> HandlerT: ...
    @overload
    def on(
        self, event: str, handler: None = None, *, once: bool = False, tag: Tag | None = None
    ) -> Callable[[HandlerT], HandlerT]: ...
    def on(self, event: str, handler: Any = None, *, once: bool = False, tag: Tag | None = None) -> Any:
        """Add a handler for an event, directly or as a decorator; several are called in the order they were added.

        Args:
            event: its name.
            handler: sync or async; called with the data, or with nothing if it takes nothing. If the server calls,
                the first value that is not None answers, :exc:`EventError` refuses.
            once: remove it before its first call.
            tag: a label to remove it by.

        Returns:
            The handler.

        Raises:
            UsageError: the name can't be used.
            ConfigError: the handler can't be used.
        """
        return self._listeners.on(event, handler, once=once, tag=tag)

    @overload
    def once(self, event: str, handler: HandlerT, *, tag: Tag | None = None) -> HandlerT: ...
    @overload
    def once(self, event: str, handler: None = None, *, tag: Tag | None = None) -> Callable[[HandlerT], HandlerT]: ...
    def once(self, event: str, handler: Any = None, *, tag: Tag | None = None) -> Any:
        """Add a handler that is called at most once; otherwise as :meth:`on`."""
        return self._listeners.on(event, handler, once=True, tag=tag)

    def off(self, event: str | AnyHook, handler_or_tag: Handler | Tag | None = None) -> None:
        """Remove handlers of an event or of a hook.

        Args:
            event: the event's name, or a hook: itself, or the name of its attribute.
            handler_or_tag: the handler, or the tag it was added with; None removes all.

        Example::

            client.off("say", "mine")
            client.off(client.on_open, greet)  # or client.on_open.off(greet), or client.off("on_open", greet)
        """
        remove(event, handler_or_tag, self._listeners, self._hooks)

    # Internals

    def _session(self) -> Session:
        session = self._reconnection.session
        if session is None:
            last = self._reconnection.last
            ended = "" if last is None else f"; the last was closed with {last.code} {last.reason}".rstrip()
            raise NotConnected(f"there is no open connection: await client.connect(), or wait for on_open{ended}", last)
        return session

    def observe(self, observer: ClientObserver) -> None:
        """Let tracing see what the client sends and handles from the next connection on, one at most.

        Raises:
            ConfigError: the client is traced already.
        """
        if self._observer is not None:
            raise ConfigError("the client is traced already: instrument it once")
        self._observer = observer
        self._router.observe(observer.answering)
        self._message_router = observer.router(self._router)

    def use_connector(self, connector: Connect) -> None:
        """Open connections with another function from now on, in tests that have no network."""
        self._connector = connector

    async def _open_session(self, owner: SessionEvents) -> Session:
        calls = Calls(self._ids, self._hooks)
        session = Session(
            owner,
            self._message_router,
            calls,
            self._heartbeat,
            self._ping_text,
            self._stable_after,
            self._hooks,
            self._rooms,
            self._observer,
        )
        await self._connector(await self._targets.next(), session)
        return session
