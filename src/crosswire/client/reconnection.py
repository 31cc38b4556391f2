"""Keeps a client connected: connects, and connects again after a loss, until it is told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from crosswire.client.hooks import Hooks
from crosswire.client.loop_binding import LoopBinding
from crosswire.client.open_close import OpenCloseHooks
from crosswire.client.retries import Policy, Retries
from crosswire.client.session import Session, SessionEvents
from crosswire.errors import NotConnected, Refused
from crosswire.runtime.loop_thread import running_loop
from crosswire.runtime.tasks import Tasks
from crosswire.types import Close, CloseCode

CONNECT_TIMEOUT = 10.0
"""Seconds for one attempt: name resolution, TCP, TLS and the upgrade together."""

# Where a client was connected before, these say that a proxy has nothing behind it yet.
_NOT_YET_THERE = frozenset({403, 404})
# And this, where each attempt has a token of its own, that the token has expired.
_NOT_YET_KNOWN = 401

_BY_CLIENT = Close(CloseCode.CLIENT_CLOSED, "closed by the client")

Connect = Callable[[SessionEvents], Awaitable[Session]]
"""Makes a new session for its owner and connects it; raises :exc:`NotConnected`."""


class Reconnection:
    """The connection that should be, as opposed to the sessions that come and go.

    One task runs from :meth:`connect` or :meth:`retry_now` until :meth:`stop`, a close that the policy takes as
    final, or the last retry.

    Args:
        connect: makes a session.
        policy: decides from a :class:`Close` whether to try again. An attempt that failed is put to it as 1006, or as
            1008 where HTTP says that trying again is of no use.
        retries: how often and how soon.
        hooks: told of everything.
        is_fresh: whether attempts have tokens of their own, so that one of them may be taken after another was not.

    Attributes:
        loop_binding: refuses calls from another thread or event loop.
        session: the open one, or None.
        last: how the last connection ended, or why the last attempt was refused; None before.
        reconnecting: whether a connection was lost and the next one is still to come.
    """

    def __init__(
        self, connect: Connect, policy: Policy, retries: Retries, hooks: Hooks, *, is_fresh: bool = False
    ) -> None:
        self._connect = connect
        self._policy = policy
        self._retries = retries
        self._hooks = hooks
        self._life = OpenCloseHooks(hooks)
        self._is_fresh = is_fresh
        self._was_open = False
        self._leaving: Session | None = None
        self._tasks = Tasks()
        self._run_task: asyncio.Task[None] | None = None
        self._run_token: object | None = None
        self._waiters: set[asyncio.Future[NotConnected | None]] = set()
        self._for_waiters = False  # what is under way was begun by connect, and nobody was let in yet
        self._failure = NotConnected("never connected")
        self._at_once = False
        self._dialling: asyncio.Timeout | None = None
        self._pausing: asyncio.Future[None] | None = None
        self.loop_binding = LoopBinding()
        self.session: Session | None = None
        self.last: Close | None = None
        self.reconnecting = False

    async def connect(self) -> None:
        """Wait until connected and let in; start if nothing is under way.

        Raises:
            Refused: the server did not let the client in, and the policy takes that as final.
            NotConnected: it was given up, forbidden by the policy, or stopped.
        """
        self.loop_binding.require_loop()
        if self._is_in:
            return
        waiter: asyncio.Future[NotConnected | None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        if self._run_token is None:
            self._retries.reset()
            self._was_open = False
            self._for_waiters = True
            self._start(again=False)
        try:
            failure = await waiter
        except asyncio.CancelledError:
            self._waiters.discard(waiter)
            # Nobody is left who knows of the attempts that a call of this began.
            if self._for_waiters and not self._waiters:
                await self.stop()
            raise
        if failure is not None:
            raise failure

    def retry_now(self, *, reset: bool) -> None:
        """Drop what there is and connect anew, at once; ``reset`` starts counting attempts at 0."""
        self.loop_binding.require_thread()
        running_loop()
        if reset:
            self._retries.reset()
        self._at_once = self.reconnecting = True
        self._for_waiters = False
        if self._run_token is None:
            self._start(again=True)
        elif self.session is not None:
            self.session.abort(Close(CloseCode.NORMAL, "the client reconnects"))
        elif self._pausing is not None and not self._pausing.done():
            self._pausing.set_result(None)
        elif self._dialling is not None and not self._dialling.expired():
            self._dialling.reschedule(asyncio.get_running_loop().time())

    async def stop(self) -> None:
        """Close the connection, or give up getting one; return when nothing of it is left."""
        self.loop_binding.require_loop()
        session, task = self.session, self._run_task
        self.session = None
        if session is not None:
            self.last, self._leaving = _BY_CLIENT, session
        self._end(NotConnected("closed by the client", self.last))
        if task is not None:
            task.cancel()
        if session is not None:
            await _close(session)
        if task is not None and not task.done():
            await asyncio.wait([task])

    @property
    def has_stopped(self) -> bool:
        """Whether nothing is under way, and nobody has begun anew."""
        return self._run_token is None

    async def finish(self, grace: float) -> None:
        """Wait until the application has heard of everything; what takes longer than ``grace`` seconds is cancelled."""
        while self.has_stopped and self._life.to_await:
            await self._life.finish_one(grace)

    @property
    def _is_in(self) -> bool:
        return self.session is not None and self.session.is_in

    # What a session tells

    def session_opened(self, session: Session) -> bool:
        """The attempt succeeded, so far."""
        if self._run_token is None:
            return False
        self.session = session
        self._was_open = True
        self.reconnecting = False
        self._life.opened(session.go_on)
        return True

    def session_let_in(self, session: Session) -> None:
        """The client is connected."""
        if self.session is session:
            self._for_waiters = False
            self._release(None)

    def session_held(self, session: Session) -> None:
        """The attempt was a good one: the next loss is another matter."""
        if self.session is session:
            self._retries.reset()

    def session_closed(self, session: Session, close: Close) -> None:
        """The connection is gone: decide at once, so that handlers of ``on_close`` see what comes next."""
        if self.session is session:
            self.session = None
            self.last = close
            self._failure = (
                NotConnected(f"the connection was closed with {close.code} {close.reason}".rstrip(), close)
                if session.is_in
                else Refused(close.code, close.reason)
            )
            self.reconnecting = self._at_once or self._allows(close)
            if not self.reconnecting:
                self._end(self._failure)
        self._life.closed(close)

    # The run

    def _start(self, *, again: bool) -> None:
        self.loop_binding.bind()
        token = self._run_token = object()
        task = self._tasks.start(self._run(token, again=again), "crosswire client")
        # Where tasks start eagerly, the run may have ended already, and a handler have begun another.
        if self._run_token is token:
            self._run_task = task

    def _end(self, failure: NotConnected) -> None:
        """Decide that there will be no more attempts. The run's task sees it, and a new run may begin at once."""
        self._run_token = None
        self.loop_binding.release()
        self._at_once = self.reconnecting = self._for_waiters = False
        self._release(failure)

    async def _run(self, token: object, *, again: bool) -> None:
        try:
            if again:
                await self._pause()
            while self._run_token is token:
                await self._connect_once()
                if self._run_token is token:
                    await self._pause()
        finally:
            if self._run_token is token:
                self._cut_short()

    def _cut_short(self) -> None:
        """Leave nothing open: the event loop is being shut down under the run."""
        session, self.session = self.session, None
        self._end(NotConnected("the client's event loop ended", self.last))
        if session is not None:
            session.abort(Close(CloseCode.GOING_AWAY, "the client's event loop ended"))

    async def _connect_once(self) -> None:
        """Connect, and stay until the connection is gone. The one before has to be gone, too."""
        if self._leaving is not None:
            await self._leaving.wait_ended()
            self._leaving = None
        session = await self._dial()
        if session is not None:
            await session.wait_ended()

    async def _dial(self) -> Session | None:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT) as self._dialling:
                return await self._connect(self)
        except TimeoutError:
            failure = NotConnected(f"can't connect: no answer within {CONNECT_TIMEOUT:g} s", self.last)
        except NotConnected as error:
            failure = error
            failure.close = error.close or self.last
        finally:
            self._dialling = None
        self._failed(failure)
        return None

    def _failed(self, error: NotConnected) -> None:
        if isinstance(error, Refused):
            self.last = error.close
        if not self._at_once:  # else it was broken off by retry_now
            self._failure = error
            self._hooks.report_attempt(error)
        if not (self._at_once or self._allows(self._as_close(error))):
            self._end(error)

    async def _pause(self) -> None:
        """Wait before the next attempt, if there is one."""
        retry = self._retries.next(at_once=self._at_once)
        if retry is None:
            limit = self._retries.limit
            self._end(NotConnected(f"gave up after {limit} attempts in a row: {self._failure}", self.last))
            self._hooks.fire(self._hooks.on_give_up, limit)
            return
        self._hooks.fire(self._hooks.on_reconnect, *retry)
        if not self._at_once:
            await self._sleep(retry.delay)
        self._at_once = False

    async def _sleep(self, seconds: float) -> None:
        self._pausing = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait([self._pausing], timeout=seconds)
        finally:
            self._pausing = None

    def _as_close(self, error: NotConnected) -> Close:
        """Put a failed attempt as the policy is asked about it."""
        if not isinstance(error, Refused):
            return Close(CloseCode.ABNORMAL, str(error))
        waits = error.status in _NOT_YET_THERE or (self._is_fresh and error.status == _NOT_YET_KNOWN)
        return Close(CloseCode.ABNORMAL, error.reason) if waits and self._was_open else error.close

    def _allows(self, close: Close) -> bool:
        try:
            return bool(self._policy(close))
        except Exception as error:  # noqa: BLE001 - the policy is the application's; what it raises is reported
            self._hooks.report(error)
            return False

    def _release(self, failure: NotConnected | None) -> None:
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(failure)


async def _close(session: Session) -> None:
    """Close with a handshake; drop the connection if the caller does not wait for it."""
    session.close(CloseCode.CLIENT_CLOSED, _BY_CLIENT.reason)
    try:
        await session.wait_ended()
    except asyncio.CancelledError:
        session.abort(_BY_CLIENT)
        raise
