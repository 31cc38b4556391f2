"""SIGINT and SIGTERM of a process, handled at every moment."""

from __future__ import annotations

import asyncio
import os
import selectors
import signal
from types import FrameType, TracebackType
from typing import Any

from crosswire.runtime.background_tasks import is_being_cancelled
from crosswire.runtime.watchdog import WAKE_SIGNAL, Watchdog

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
START_EXIT_TIMEOUT = 3.0
"""Seconds after which a process whose start was interrupted exits, even if a thread still keeps it."""
HURRIED_EXIT_TIMEOUT = 1.0
"""Seconds after which a process exits after a second signal."""
CLEANUP_TIME = 0.5
"""Seconds that interrupted code may hold the event loop for its ``finally``."""

_NOT_OF_APPLICATION = (
    os.path.dirname(os.path.dirname(__file__)) + os.sep,
    os.path.dirname(asyncio.__file__) + os.sep,
    selectors.__file__,
)


class InterruptedBySignal(asyncio.CancelledError):
    """Raised in code of the application that a signal interrupts. It is not a failure of that code."""


def is_broken_off(error: BaseException) -> bool:
    """Return whether a handler raised an error because a stop or a signal breaks it off, so that it has not failed."""
    return isinstance(error, InterruptedBySignal) or (
        isinstance(error, asyncio.CancelledError) and is_being_cancelled()
    )


class StopSignals:
    """SIGINT and SIGTERM of this process, for as long as the context lasts; in the main thread.

    Both are handled at every moment. Where the application's code holds the event loop while a start is to be
    interrupted, or a stop to be hurried, :exc:`InterruptedBySignal` is raised in that code. If something else keeps the
    process from its end, such as a thread, the process exits, with 128 plus the number of the signal, as a shell
    reports a process that was killed by it.

    A process that is forked meanwhile, as by :mod:`multiprocessing`, handles signals as its parent did before.

    Attributes:
        number: the first signal, once there was one.
        first: set in the event loop after the first signal.
        second: set in the event loop after the second one.
    """

    def __init__(self) -> None:
        self.number: signal.Signals | None = None
        self.first = asyncio.Event()
        self.second = asyncio.Event()
        self._starting = True
        self._hurried = False
        self._interrupting = False  # whether code that holds the event loop is to be interrupted
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watchdog = Watchdog()
        self._before: dict[signal.Signals, Any] = {}
        self._process = os.getpid()

    def __enter__(self) -> StopSignals:
        for number in (WAKE_SIGNAL, *_SIGNALS):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watchdog.stop()
        self._interrupting = False
        self._restore_handlers()

    def _restore_handlers(self) -> None:
        for number, handler in self._before.items():
            # None is a handler that was not set from Python, so it can't be restored.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Notify this event loop, also of signals that came before; and watch it until :meth:`started`."""
        self._loop = loop
        self._watchdog.attach(loop)
        self.watch()
        self._notify()

    def watch(self) -> None:
        """Let signals be handled even while code holds the event loop, during a start and during a stop."""
        self._watchdog.start()

    def started(self) -> None:
        """Let the first signal interrupt no more code from now on, even if it has just come."""
        self._starting = False
        if not self._hurried:
            self._interrupting = False
            self._watchdog.stop()

    def exit_within(self, seconds: float) -> None:
        """Let the process exit after ``seconds`` if it has not ended by then. Called only after a signal."""
        assert self.number is not None
        self._interrupting = True
        self._watchdog.exit_within(seconds, 128 + self.number)

    # In the main thread, between any two instructions

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            self._restore_handlers()
            signal.raise_signal(number)
        elif self._watchdog.is_wake_up(number):
            self._interrupt(frame)
        else:
            self._handle_stop(signal.Signals(number))

    def _handle_stop(self, number: signal.Signals) -> None:
        if self.number is None:
            self.number = number
            if self._starting:
                self.exit_within(START_EXIT_TIMEOUT)
            else:
                self.watch()  # for the second signal
        elif not self._hurried:
            self._hurried = True
            self.exit_within(HURRIED_EXIT_TIMEOUT)
        self._notify()

    def _interrupt(self, frame: FrameType | None) -> None:
        """Interrupt the code that holds the event loop, if it is the application's and must be interrupted."""
        if self._interrupting and self._watchdog.loop_is_held() and _is_of_application(frame):
            self._watchdog.allow(CLEANUP_TIME)
            raise InterruptedBySignal("a signal ends this")

    def _notify(self) -> None:
        if self._loop is None or self._loop.is_closed():
            return
        if self.number is not None:
            self._loop.call_soon_threadsafe(self.first.set)
        if self._hurried:
            self._loop.call_soon_threadsafe(self.second.set)


def _is_of_application(frame: FrameType | None) -> bool:
    """Return whether code is being run that is neither the event loop's nor our own."""
    if frame is None:
        return False
    return not frame.f_code.co_filename.startswith(_NOT_OF_APPLICATION)
