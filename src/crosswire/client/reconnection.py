"""Keeps a client connected: connects, and connects again after a loss, until it is told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from crosswire.client.hooks import Hooks
from crosswire.client.retries import Policy, Retries
from crosswire.client.session import Session, SessionOwner
from crosswire.errors import NotConnected
from crosswire.runtime.tasks import Tasks
from crosswire.transport.connector import UpgradeRefused
from crosswire.types import Close, CloseCode

CONNECT_TIMEOUT = 10.0
"""Seconds for one attempt: name resolution, TCP, TLS and the upgrade together."""

# Of the 4xx, these say that another time the answer may differ.
_PASSING_STATUS = frozenset({408, 425, 429})

Connect = Callable[[SessionOwner], Awaitable[Session]]
"""Makes a new session for its owner and connects it; raises :exc:`NotConnected`."""


class Reconnection:
    """The connection that should be, as opposed to the sessions that come and go.

    One task runs from :meth:`connect` or :meth:`retry_now` until :meth:`stop`, a close that the policy takes as
    final, or the last retry.

    Args:
        connect: makes a session.
        policy: decides from a :class:`Close` whether to try again. An attempt that failed is put to it as 1006, or as
            1008 where HTTP says that trying again is of no use (4xx but 408, 425 and 429).
        retries: how often and how soon.
        hooks: told of everything.

    Attributes:
        session: the open one, or None.
        reconnecting: whether a connection was lost and the next one is still to come.
    """

    def __init__(self, connect: Connect, policy: Policy, retries: Retries, hooks: Hooks) -> None:
        self._connect = connect
        self._policy = policy
        self._retries = retries
        self._hooks = hooks
        self._tasks = Tasks()
        self._run_task: asyncio.Task[None] | None = None
        self._run_token: object | None = None
        self._waiters: set[asyncio.Future[NotConnected | None]] = set()
        self._failure = NotConnected("never connected")
        self._at_once = False
        self._dialling: asyncio.Timeout | None = None
        self._pausing: asyncio.Future[None] | None = None
        self.session: Session | None = None
        self.reconnecting = False

    async def connect(self) -> None:
        """Wait until connected; start if nothing is under way.

        Raises:
            NotConnected: it was given up, forbidden by the policy, or stopped.
        """
        if self.session is not None:
            return
        waiter: asyncio.Future[NotConnected | None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        started = self._run_token is None
        if started:
            self._retries.reset()
            self._start(again=False)
        try:
            failure = await waiter
        except asyncio.CancelledError:
            self._waiters.discard(waiter)
            # Nobody is left who knows of the attempts that this call began.
            if started and not self._waiters and self.session is None:
                await self.stop()
            raise
        if failure is not None:
            raise failure

    def retry_now(self, *, reset: bool) -> None:
        """Drop what there is and connect anew, at once; ``reset`` starts counting attempts at 0."""
        if reset:
            self._retries.reset()
        self._at_once = self.reconnecting = True
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
        session, task = self.session, self._run_task
        self.session = None
        self._end(NotConnected("closed by the client"))
        if task is not None:
            task.cancel()
        if session is not None:
            await _close(session)
        if task is not None and not task.done():
            await asyncio.wait([task])

    # What a session tells

    def session_opened(self, session: Session) -> bool:
        """The attempt succeeded."""
        if self._run_token is None:
            return False
        self.session = session
        self.reconnecting = False
        self._retries.reset()
        self._release(None)
        self._hooks.fire(self._hooks.on_open)
        return True

    def session_closed(self, session: Session, close: Close) -> None:
        """The connection is gone: decide at once, so that handlers of ``on_close`` see what comes next."""
        if self.session is session:
            self.session = None
            self._failure = NotConnected(f"the connection was closed with {close.code} {close.reason}".rstrip())
            self.reconnecting = self._at_once or self._allows(close)
            if not self.reconnecting:
                self._end(self._failure)
        self._hooks.fire(self._hooks.on_close, close)

    # The run

    def _start(self, *, again: bool) -> None:
        token = self._run_token = object()
        task = self._tasks.start(self._run(token, again=again), "crosswire client")
        # Where tasks start eagerly, the run may have ended already, and a handler have begun another.
        if self._run_token is token:
            self._run_task = task

    def _end(self, failure: NotConnected) -> None:
        """Decide that there will be no more attempts. The run's task sees it, and a new run may begin at once."""
        self._run_token = None
        self._at_once = self.reconnecting = False
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
        self._end(NotConnected("the client's event loop ended"))
        if session is not None:
            session.abort(Close(CloseCode.GOING_AWAY, "the client's event loop ended"))

    async def _connect_once(self) -> None:
        """Connect, and stay until the connection is gone."""
        session = await self._dial()
        if session is not None:
            await session.wait_ended()

    async def _dial(self) -> Session | None:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT) as self._dialling:
                return await self._connect(self)
        except TimeoutError:
            self._failed(NotConnected(f"can't connect: no answer within {CONNECT_TIMEOUT:g} s"))
        except NotConnected as error:
            self._failed(error)
        finally:
            self._dialling = None
        return None

    def _failed(self, error: NotConnected) -> None:
        if not self._at_once:  # else it was broken off by retry_now
            self._failure = error
            self._hooks.report_attempt(error)
        if not (self._at_once or self._allows(_as_close(error))):
            self._end(error)

    async def _pause(self) -> None:
        """Wait before the next attempt, if there is one."""
        retry = self._retries.next(at_once=self._at_once)
        if retry is None:
            limit = self._retries.limit
            self._end(NotConnected(f"gave up after {limit} attempts in a row: {self._failure}"))
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
    session.close(CloseCode.CLIENT_CLOSED, "closed by the client")
    try:
        await session.wait_ended()
    except asyncio.CancelledError:
        session.abort(Close(CloseCode.CLIENT_CLOSED, "closed by the client"))
        raise


def _as_close(error: NotConnected) -> Close:
    status = error.status if isinstance(error, UpgradeRefused) else 0
    final = 400 <= status < 500 and status not in _PASSING_STATUS
    return Close(CloseCode.POLICY if final else CloseCode.ABNORMAL, str(error))
