"""Reports of errors that the application's own code raised, and of messages of clients that were not handled."""

from __future__ import annotations

import asyncio
from functools import partial

from crosswire.core.listeners import Hook
from crosswire.core.throttle import Throttle
from crosswire.errors import EventError, InvalidPayload
from crosswire.runtime import environment
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.handler_calls import fire
from crosswire.runtime.log_records import about, get_logger
from crosswire.runtime.stop_signals import InterruptedBySignal
from crosswire.runtime.throttled_warnings import Attributes, ThrottledWarnings, reason
from crosswire.server.client_gone import ClientGone
from crosswire.server.losses import Losses
from crosswire.server.session_view import SessionView
from crosswire.server.socket import Socket

logger = get_logger("crosswire.server")

MAX_TASKS = 10_000
"""Number of background tasks beyond which ``on_error`` is no longer called: clients can make handlers fail at will."""

_LIMITS = {"NAME_TOO_LONG": "name", "ROOM_LIMIT": "rooms", "JOIN_RATE": "joins", "CALL_LIMIT": "calls"}
"""Name of the limit for each code with which a method of a socket refuses what is over it, in a handler."""


class FailureReporter:
    """Reports failures to ``on_error`` and to the log, a few of a kind at a time.

    Args:
        on_error: the application's hook.
        tasks: where an asynchronous hook runs.

    Attributes:
        losses: counts of what was lost, for metrics.
        warnings: log of events that are lost and reported nowhere else.
        stopping: set while the server stops; handlers that are cancelled then have not failed.
    """

    __slots__ = (
        "_all_throttle",
        "_limit_throttle",
        "_on_error",
        "_tasks",
        "_throttle",
        "losses",
        "stopping",
        "warnings",
    )

    def __init__(
        self,
        on_error: Hook[[Socket, Exception], [Socket]],
        tasks: BackgroundTasks,
    ) -> None:
        self._on_error = on_error
        self._tasks = tasks
        self._throttle = Throttle()
        self._all_throttle = Throttle(burst=10, period=1)
        self._limit_throttle = Throttle(burst=1, period=1)
        self.losses = Losses()
        self.warnings = ThrottledWarnings(logger)
        self.stopping = False

    def report(
        self,
        session: SessionView | None,
        error: BaseException,
        what: str,
        *,
        event: str | None = None,
        answers: bool = False,
    ) -> None:
        """Report an error that the application's own code raised.

        An ``EventError`` is not a failure. If it answers a call, it is not reported. If nobody waits for it, it goes to
        ``on_error``, or to the log without such a hook. For data of a client that does not fit, ``on_error`` is called
        in both cases, and at most once a second and kind if the client is over a limit. A handler that is cancelled by
        a stop, or interrupted by a signal, has not failed; nor has one that ends because its own client is gone.

        Args:
            session: of the connection whose event it was, or None.
            error: the exception.
            what: the code that raised it, for the log.
            event: the event or hook that it handled, for the log.
            answers: whether a client waits for an answer, and so gets a refusal.
        """
        if isinstance(error, InterruptedBySignal) or (self.stopping and isinstance(error, asyncio.CancelledError)):
            return
        extra = about(None if session is None else session.socket, event=event)
        if session is not None and _is_end_of(session, error) and event != "on_disconnect":
            logger.debug("%s ended, as its client is gone: %s", what, error, extra=extra)
            return
        if not isinstance(error, EventError):
            self.losses.failures += 1
        if session is None:
            self._log(error, what, extra)
        elif not isinstance(error, EventError):
            self._log(error, what, extra)
            self._call_hook(session, error, extra)
        elif (limit := _LIMITS.get(error.code)) is not None:
            self.over_limit(session, limit, error)
        elif isinstance(error, InvalidPayload) or not answers:
            self._report_refused(session, error, what, extra, answers=answers)

    def over_limit(self, session: SessionView, kind: str, error: EventError) -> None:
        """Report that a client went over a limit, at most once a second and kind: to ``on_error``, or to the log.

        Args:
            session: of the client.
            kind: of limit, for the counts; not chosen by a client.
            error: the refusal.
        """
        self.losses.messages[kind] += 1
        self._tell_of_limit(session, kind, error)

    def held_back(self, session: SessionView, limit: str, *, tells: bool) -> None:
        """Count that a client sends more than a rate of ``Limits``, and is read later; report it as above if ``tells``.

        Args:
            session: of the client.
            limit: name of the rate.
            tells: whether the client is let in, so that the application may know it.
        """
        self.losses.held_back[limit] += 1
        if tells:
            text = f"it sends more than Limits({limit}=...) allows, and is read later"
            self._tell_of_limit(session, limit, EventError("RATE_LIMIT", text))

    def _tell_of_limit(self, session: SessionView, kind: str, error: EventError) -> None:
        if self._limit_throttle.admit(kind, environment.monotonic()) is None:
            return
        extra = about(session.socket)
        if self._on_error:
            self._call_hook(session, error, extra)
        else:
            text = "%r went over a limit, and there is no on_error hook to tell: %s"
            self.warnings.warn(kind, text, session.socket, reason(error), extra=extra)

    def _report_refused(
        self, session: SessionView, error: EventError, what: str, extra: Attributes, *, answers: bool
    ) -> None:
        """Report that a client's event was refused, to ``on_error``. Without a hook, log it if no client waits."""
        if not answers and isinstance(error, InvalidPayload):
            self.losses.messages["invalid payload"] += 1
        if self._on_error:
            self._call_hook(session, error, extra)
        elif not answers:
            text = "%s refused what %r sent, and there is no on_error hook to tell: %s"
            kind = f"refused {type(error).__name__}"
            self.warnings.warn(kind, text, what, session.socket, reason(error), extra=extra)

    def _call_hook(self, session: SessionView, error: BaseException, extra: Attributes) -> None:
        if len(self._tasks) >= MAX_TASKS:
            self._log(error, "a handler, and on_error is too slow to be told: it", extra)
            return
        failed = partial(self._log, what="on_error", extra={**extra, "event": "on_error"})
        fire(self._on_error, (session.socket, error), self._tasks, failed, session.handlers.copy_context)

    def _log(self, error: BaseException, what: str, extra: Attributes) -> None:
        now = environment.monotonic()
        if (held_back := self._throttle.admit((what, type(error)), now)) is None:
            return
        if self._all_throttle.admit("any failure", now) is None:
            return
        also = f" ({held_back} more of these were not logged)" if held_back else ""
        logger.error("%s failed%s", what, also, exc_info=error, extra=extra)


def _is_end_of(session: SessionView, error: BaseException) -> bool:
    """Return whether an error says that the client is gone whose event was handled."""
    return isinstance(error, ClientGone) and error.client is session.client
