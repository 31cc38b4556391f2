"""A thread that checks whether the event loop is held, and ends a process that does not end by itself."""

from __future__ import annotations

import _thread
import asyncio
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from math import inf
from typing import NoReturn

TICK = 0.1
"""Seconds between two checks of the event loop."""
HELD_AFTER = 0.3
"""Seconds without an answer of the event loop after which it counts as held by code that does not wait."""
WAKE_INTERVAL = 1.0
"""Seconds between two interruptions of code that holds the event loop, as long as no signal is known that ends it."""

if sys.platform == "win32":
    WAKE_SIGNAL = signal.SIGBREAK
else:
    WAKE_SIGNAL = signal.SIGURG  # ignored by default, and it may come at any time without a meaning


class Watchdog:
    """Monitor of the main thread's event loop, in a thread of its own.

    While the loop is held, the main thread is interrupted by ``WAKE_SIGNAL``, more often once there is a deadline.
    Python runs the handlers of signals only between two instructions. A signal may come just before a system call that
    blocks, or to another thread; then its handler would not run until that call returns.

    All methods are called from the main thread, also from a handler of a signal, which interrupts it anywhere. So there
    are no locks in this class, not even those in objects of :mod:`threading`.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked: float | None = None  # time of the question that the loop has not answered yet
        self._deadline = inf
        self._exit_code = 0
        self._watch: object | None = None  # names the thread that watches; another one ends
        self._main = threading.get_ident()
        self._woken = False  # only used on Windows

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Set the event loop to watch."""
        self._loop = loop

    def start(self) -> None:
        """Start to watch, unless it does already."""
        if self._watch is None:
            self._watch = watch = object()
            # Not threading's: it takes locks, which the code that a handler interrupts might hold.
            _thread.start_new_thread(self._run, (watch,))

    def stop(self) -> None:
        """Watch no longer, and forget the deadline."""
        self._watch = None
        self._deadline = inf

    def exit_within(self, seconds: float, exit_code: int) -> None:
        """Let the process exit after ``seconds``, or earlier if there is an earlier deadline already."""
        self._exit_code = exit_code
        self._deadline = min(self._deadline, time.monotonic() + seconds)
        self.start()

    def loop_is_held(self) -> bool:
        """Return whether code that does not wait for anything keeps the event loop from its other work."""
        asked = self._asked  # it may change at any moment
        return asked is not None and time.monotonic() - asked > HELD_AFTER

    def allow(self, seconds: float) -> None:
        """Let the event loop be held for ``seconds`` more."""
        self._asked = time.monotonic() + seconds

    def is_wake_up(self, number: int) -> bool:
        """Return whether this signal comes from the watchdog. On Windows, the user may have pressed Ctrl-Break."""
        if sys.platform != "win32":
            return number == WAKE_SIGNAL
        if number != WAKE_SIGNAL:
            return False
        woken, self._woken = self._woken, False
        return woken

    # In the thread

    def _run(self, watch: object) -> None:
        woken = -inf
        while self._watch is watch:
            now = time.monotonic()
            if (remaining := self._deadline - now) <= 0:
                self._exit()
            if self.loop_is_held():
                if remaining < inf or now - woken >= WAKE_INTERVAL:
                    woken = now
                    self._wake_main_thread()
            elif self._asked is None:
                self._ask()
            time.sleep(min(TICK, remaining))

    def _ask(self) -> None:
        loop = self._loop
        if loop is None or loop.is_closed():
            return
        self._asked = time.monotonic()
        try:
            loop.call_soon_threadsafe(self._answer)
        except RuntimeError:  # it was closed just now
            self._asked = None

    def _answer(self) -> None:
        self._asked = None

    def _wake_main_thread(self) -> None:
        if sys.platform == "win32":
            self._woken = True
            _thread.interrupt_main(WAKE_SIGNAL)
        else:
            with suppress(ProcessLookupError):  # the process is about to end
                signal.pthread_kill(self._main, WAKE_SIGNAL)

    def _exit(self) -> NoReturn:
        os.write(2, b"the process did not end in time after a signal, and exits\n")
        os._exit(self._exit_code)
