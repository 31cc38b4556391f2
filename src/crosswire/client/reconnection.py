"""Connects a client, and connects it again after a loss, until it is closed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from crosswire.client.hooks import Hooks
from crosswire.client.loop_binding import LoopBinding
from crosswire.client.open_close import OpenCloseHooks
from crosswire.client.phases import Phase, PhaseMachine, Trigger
from crosswire.client.retries import Policy, Retries
from crosswire.client.session import Session, SessionEvents
from crosswire.errors import NotConnected, Refused
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.loop_thread import running_loop
from crosswire.types import Close, CloseCode

CONNECT_TIMEOUT = 10.0
"""Seconds for one attempt: name resolution, TCP, TLS and the upgrade together."""

_RETRIED_STATUSES = frozenset({403, 404})
"""HTTP statuses that are tried again once there was a connection: a proxy may have no server behind it for a while."""
_RENEWED_STATUS = 401
"""HTTP status that is tried again as well if each attempt has a token of its own, as the last token has expired."""

_BY_CLIENT = Close(CloseCode.CLIENT_CLOSED, "closed by the client")

Connect = Callable[[SessionEvents], Awaitable[Session]]
"""Function that makes a session for its owner and connects it; raises :exc:`NotConnected`."""


class Reconnection:
    """The lasting connection of a client, over one session after the other.

    One task runs from :meth:`connect` or :meth:`retry_now` until :meth:`stop`, a close that the policy takes as
    final, or the last retry. :mod:`crosswire.client.phases` has its phases.

    Args:
        connect: makes a session.
        policy: decides from a :class:`Close` whether to try again. For an attempt that failed, the code is 1006, or
            1008 if the HTTP status shows that another attempt would fail too.
        retries: number and delays of the attempts.
        hooks: of the client.
        renews_credentials: whether each attempt has a token of its own, so that the next token may be accepted after
            one was refused.
        connect_timeout: seconds for one attempt.

    Attributes:
        loop_binding: refuses calls from another thread or event loop.
        session: the open one in the phases OPEN and READY, else None.
        last: how the last connection ended, or why the last attempt was refused; None before.
    """

    def __init__(
        self,
        connect: Connect,
        policy: Policy,
        retries: Retries,
        hooks: Hooks,
        *,
        renews_credentials: bool = False,
        connect_timeout: float = CONNECT_TIMEOUT,
    ) -> None:
        self._connect = connect
        self._policy = policy
        self._retries = retries
        self._hooks = hooks
        self._open_close = OpenCloseHooks(hooks)
        self._renews_credentials = renews_credentials
        self._connect_timeout = connect_timeout
        self._phases = PhaseMachine()
        self._lost = False
        self._was_open = False
        self._closing_session: Session | None = None
        self._tasks = BackgroundTasks()
        self._run_task: asyncio.Task[None] | None = None
        self._run_token: object | None = None
        self._waiters: dict[asyncio.Future[NotConnected | None], None] = {}
        self._begun_by_connect = False  # whether connect() has begun the run, and the client was not let in since
        self._failure = NotConnected("never connected")
        self._at_once = False
        self._dialling: asyncio.Timeout | None = None
        self._wakeup: asyncio.Future[None] | None = None
        self.loop_binding = LoopBinding()
        self.session: Session | None = None
        self.last: Close | None = None

    @property
    def reconnecting(self) -> bool:
        """Whether a connection was lost, or asked for anew, and the next one is still to come."""
        return self._lost and (self._at_once or not self._phases.is_open)

    async def connect(self) -> None:
        """Wait until the server has let the client in; start to connect if that is not under way.

        Raises:
            Refused: the server did not let the client in, and the policy takes that as final.
            NotConnected: the client gave up, the policy forbade another attempt, or :meth:`stop` was called.
        """
        self.loop_binding.require_loop()
        if self._phases.phase is Phase.READY:
            return
        waiter: asyncio.Future[NotConnected | None] = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = None
        if self._phases.is_idle:
            self._retries.reset()
            self._was_open = False
            self._begun_by_connect = True
            self._start(Trigger.CONNECT)
        try:
            failure = await waiter
        except asyncio.CancelledError:
            self._waiters.pop(waiter, None)
            # All calls that began the run and waited for it were cancelled.
            if self._begun_by_connect and not self._waiters:
                await self.stop()
            raise
        if failure is not None:
            raise failure

    def retry_now(self, *, reset: bool) -> None:
        """Drop the connection or the attempt, and connect anew at once; ``reset`` counts attempts from 0 again."""
        self.loop_binding.require_thread()
        running_loop()
        if reset:
            self._retries.reset()
        self._at_once = self._lost = True
        self._begun_by_connect = False
        if self._phases.is_idle:
            self._start(Trigger.RECONNECT)
        elif self.session is not None:
            self.session.abort(Close(CloseCode.NORMAL, "the client reconnects"))
        elif self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(None)
        elif self._dialling is not None and not self._dialling.expired():
            self._dialling.reschedule(asyncio.get_running_loop().time())

    async def stop(self) -> None:
        """Close the connection, or end the attempts; return when nothing is left."""
        self.loop_binding.require_loop()
        session, task = self.session, self._run_task
        self.session = None
        if session is not None:
            self.last, self._closing_session = _BY_CLIENT, session
        self._end(NotConnected("closed by the client", self.last))
        if task is not None:
            task.cancel()
        if session is not None:
            await _close(session)
        if task is not None and not task.done():
            await asyncio.wait([task])

    @property
    def has_stopped(self) -> bool:
        """Whether no connection is wanted, or wanted again."""
        return self._phases.is_idle

    async def finish_hooks(self, timeout: float) -> None:
        """Wait for handlers of ``on_open`` and ``on_close``; cancel them after ``timeout`` seconds each."""
        while self.has_stopped and self._open_close.has_running_hook:
            await self._open_close.finish_hook(timeout)

    # Events of a session

    def session_opened(self, session: Session) -> bool:
        """Take an open connection; return False if it is not wanted any more."""
        if self._phases.phase is not Phase.CONNECTING:
            return False
        self._phases.move(Trigger.OPENED)
        self.session = session
        self._was_open = self._lost = True  # from now on, every phase without a connection is a loss
        self._at_once = False
        self._open_close.opened(session.release_events)
        return True

    def session_let_in(self, session: Session) -> None:
        """Let the calls of :meth:`connect` return."""
        if self.session is session:
            self._phases.move(Trigger.LET_IN)
            self._begun_by_connect = False
            self._release(None)

    def session_stable(self, session: Session) -> None:
        """Count the attempts from 0 after the next loss."""
        if self.session is session:
            self._retries.reset()

    def session_closed(self, session: Session, close: Close) -> None:
        """Decide at once whether to connect again, so that handlers of ``on_close`` see :attr:`reconnecting`."""
        if self.session is session:
            was_ready = self._phases.phase is Phase.READY
            self._phases.move(Trigger.LOST)
            self.session = None
            self.last = close
            self._failure = (
                NotConnected(f"the connection was closed with {close.code} {close.reason}".rstrip(), close)
                if was_ready
                else Refused(close.code, close.reason)
            )
            if not (self._at_once or self._allows(close)):
                self._end(self._failure)
        self._open_close.closed(close)

    # The run

    def _start(self, trigger: Trigger) -> None:
        self.loop_binding.bind()
        self._phases.move(trigger)
        token = self._run_token = object()
        task = self._tasks.start(self._run(token), "crosswire client")
        # Where tasks start eagerly, the run may have ended already, and a handler have begun another.
        if self._run_token is token:
            self._run_task = task

    def _end(self, failure: NotConnected) -> None:
        """Make no more attempts. The run's task notices it, and a new run may begin at once."""
        if not self._phases.is_idle:
            self._phases.move(Trigger.STOPPED)
        self._run_token = None
        self.loop_binding.release()
        self._at_once = self._lost = self._begun_by_connect = False
        self._release(failure)

    async def _run(self, token: object) -> None:
        try:
            while self._run_token is token:
                if self._phases.phase is Phase.CONNECTING:
                    await self._connect_once(token)
                else:
                    await self._pause()
                    if self._run_token is token:
                        self._phases.move(Trigger.DUE)
        finally:
            if self._run_token is token:
                self._abandon()

    def _abandon(self) -> None:
        """Leave nothing open when the event loop is shut down before the client is closed."""
        session, self.session = self.session, None
        self._end(NotConnected("the client's event loop ended", self.last))
        if session is not None:
            session.abort(Close(CloseCode.GOING_AWAY, "the client's event loop ended"))

    async def _connect_once(self, token: object) -> None:
        """Connect once the connection before is gone, and wait until the new one is gone too."""
        if self._closing_session is not None:
            await self._closing_session.wait_ended()
            self._closing_session = None
        session = await self._dial(token)
        if session is not None:
            await session.wait_ended()

    async def _dial(self, token: object) -> Session | None:
        limit = self._dialling = asyncio.timeout(self._connect_timeout)
        try:
            async with limit:
                return await self._connect(self)
        except TimeoutError:
            failure = NotConnected(f"can't connect: no answer within {self._connect_timeout:g} s", self.last)
        except NotConnected as error:
            failure = error
            failure.close = error.close or self.last
        finally:
            if self._dialling is limit:  # if not, it is that of a run that has begun since then
                self._dialling = None
        if self._run_token is token and self._phases.phase is not Phase.WAITING:  # the session was not lost meanwhile
            self._failed(failure)
        return None

    def _failed(self, error: NotConnected) -> None:
        self._phases.move(Trigger.LOST)
        self.session = None  # it may have opened just when the timeout was over
        if isinstance(error, Refused):
            self.last = error.close
        if not self._at_once:  # if set, retry_now has ended the attempt
            self._failure = error
            self._hooks.report_attempt(error)
        if not (self._at_once or self._allows(self._as_close(error))):
            self._end(error)

    async def _pause(self) -> None:
        """Wait until the next attempt is due, or end the run if there is none."""
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
        wakeup = self._wakeup = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait([wakeup], timeout=seconds)
        finally:
            if self._wakeup is wakeup:
                self._wakeup = None

    def _as_close(self, error: NotConnected) -> Close:
        """Return the close that the policy is asked about for a failed attempt."""
        if not isinstance(error, Refused):
            return Close(CloseCode.ABNORMAL, str(error))
        waits = error.status in _RETRIED_STATUSES or (self._renews_credentials and error.status == _RENEWED_STATUS)
        return Close(CloseCode.ABNORMAL, error.reason) if waits and self._was_open else error.close

    def _allows(self, close: Close) -> bool:
        try:
            return bool(self._policy(close))
        except Exception as error:  # noqa: BLE001 - the policy is the application's; what it raises is reported
            self._hooks.report(error)
            return False

    def _release(self, failure: NotConnected | None) -> None:
        waiters, self._waiters = self._waiters, {}
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(failure)


async def _close(session: Session) -> None:
    """Close with a handshake; drop the connection if the wait for it is cancelled."""
    session.close(CloseCode.CLIENT_CLOSED, _BY_CLIENT.reason)
    try:
        await session.wait_ended()
    except asyncio.CancelledError:
        session.abort(_BY_CLIENT)
        raise
