"""SIGINT and SIGTERM of a process, heard at every moment."""

from __future__ import annotations

import _thread
import asyncio
import os
import selectors
import signal
import sys
import threading
import time
from contextlib import suppress
from math import inf
from queue import Empty, SimpleQueue
from types import FrameType, TracebackType
from typing import Any, NoReturn

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_END = 3.0
"""Seconds after which a process whose start a signal broke off has ended, whatever still holds it: a thread, say."""
_HURRIED_END = 1.0
"""The same after a second signal."""
_BUSY = 0.3
"""Seconds without a sign of life, after which an event loop is held by code that does not wait for anything."""
_CLEANING_UP = 0.5
"""Seconds that such code gets for its ``finally``, once it is broken off."""
_AGAIN = 0.1

_NOT_OF_APPLICATION = (
    os.path.dirname(os.path.dirname(__file__)) + os.sep,
    os.path.dirname(asyncio.__file__) + os.sep,
    selectors.__file__,
)


class BrokenOff(asyncio.CancelledError):
    """A signal ends what the application's code is at; that is no failure of it."""


class StopSignals:
    """SIGINT and SIGTERM of this process, for as long as the context lasts; in the main thread.

    Both are heard at every moment. Where the application's code holds the event loop while a start is to be broken
    off, or a stop to be hurried, :exc:`BrokenOff` is raised in the midst of it. And what even so does not end in time,
    such as a thread, does not keep the process: it exits, with 128 and the number of the signal, as a shell would say
    of one that was killed by it.

    A process that is forked meanwhile, as :mod:`multiprocessing` does, takes signals as it did before.

    Attributes:
        number: the first signal, once there was one.
        first: set when the event loop hears of it.
        second: set when it hears of another one.
    """

    def __init__(self) -> None:
        self.number: signal.Signals | None = None
        self.first = asyncio.Event()
        self.second = asyncio.Event()
        self._starting = True
        self._loop: asyncio.AbstractEventLoop | None = None
        self._hurried = False
        self._poked = False
        self._asked: float | None = None  # when the event loop was asked for a sign of life that it still owes
        self._before: dict[signal.Signals, Any] = {}
        self._orders: SimpleQueue[float | None] = SimpleQueue()  # seconds to the exit; None: all is over
        self._watched = False
        self._main = threading.get_ident()
        self._process = os.getpid()

    def __enter__(self) -> StopSignals:
        for number in _SIGNALS:
            self._before[number] = signal.signal(number, self._catch)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._orders.put(None)
        self._loop = self._asked = None  # so nothing is poked that does not know of it any more
        self._set_back()

    def _set_back(self) -> None:
        for number, handler in self._before.items():
            # None: it was not set from Python, and can't be set back from there.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Tell this event loop, also of signals that came before."""
        self._loop = loop
        self._tell()

    def started(self) -> None:
        """From now on the first signal breaks off no start, but lets what was started end in its own time."""
        self._starting = False
        self._orders.put(inf)  # it may have come just now

    # In the main thread, between any two instructions

    def _catch(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            self._set_back()
            signal.raise_signal(number)
            return
        if self._poked:
            self._poked = False
            if self._is_held() and _is_of_application(frame):
                self._asked = time.monotonic() + _CLEANING_UP
                raise BrokenOff("a signal ends this")
            return
        if self.number is None:
            self.number = signal.Signals(number)
            if self._starting:
                self.end_within(_END)
        elif not self._hurried:
            self._hurried = True
            self.end_within(_HURRIED_END)
        self._tell()

    def end_within(self, seconds: float) -> None:
        """Let the process exit after so many seconds, if it has not ended by then; after a signal."""
        self._orders.put(seconds)
        if not self._watched:
            self._watched = True
            # Not threading's: it takes locks, and who holds them may be what this handler interrupts.
            _thread.start_new_thread(self._watch_over, ())

    def _tell(self) -> None:
        if self._loop is None or self._loop.is_closed():
            return
        if self.number is not None:
            self._loop.call_soon_threadsafe(self.first.set)
        if self._hurried:
            self._loop.call_soon_threadsafe(self.second.set)

    def _is_held(self) -> bool:
        """Whether code that does not wait for anything keeps the event loop from its other work."""
        asked = self._asked  # it may change at any moment
        return asked is not None and time.monotonic() - asked > _BUSY

    def _answer(self) -> None:
        self._asked = None

    # In a thread of its own

    def _watch_over(self) -> None:
        ends, seconds = inf, self._orders.get()
        while seconds is not None:
            ends = inf if seconds == inf else min(ends, time.monotonic() + seconds)
            seconds = self._orders.get() if ends == inf else self._wait_for_order(ends)

    def _wait_for_order(self, ends: float) -> float | None:
        """Look every moment whether the event loop is held, and exit when it is time to."""
        while True:
            if (remaining := ends - time.monotonic()) <= 0:
                self._exit()
            if self._is_held():
                self._poke()
            elif self._asked is None:
                self._ask()
            try:
                return self._orders.get(timeout=min(_AGAIN, remaining))
            except Empty:
                continue

    def _ask(self) -> None:
        loop = self._loop
        if loop is None or loop.is_closed():
            return
        self._asked = time.monotonic()
        with suppress(RuntimeError):  # it was closed just now
            loop.call_soon_threadsafe(self._answer)

    def _poke(self) -> None:
        """Let the main thread see what it is at."""
        assert self.number is not None
        self._poked = True
        if sys.platform == "win32":
            _thread.interrupt_main(self.number)
        else:
            signal.pthread_kill(self._main, self.number)  # interrupts what it waits for, too

    def _exit(self) -> NoReturn:
        assert self.number is not None
        os.write(2, b"the process did not end in time after a signal, and exits\n")
        os._exit(128 + self.number)


def _is_of_application(frame: FrameType | None) -> bool:
    """Whether code is being run that is neither the event loop's nor our own."""
    if frame is None:
        return False
    return not frame.f_code.co_filename.startswith(_NOT_OF_APPLICATION)
