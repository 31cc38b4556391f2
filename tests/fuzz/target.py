"""What a target is, and the event loop in which targets run input by input."""

from __future__ import annotations

import asyncio
import logging
import resource
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

MAX_CPU = 2.0
"""Seconds of CPU time that one input may take; with the instrumentation of a fuzzer all is several times slower."""
MAX_GROWTH = 96 * 1024 * 1024
"""Bytes by which the process may grow after its first inputs."""
WARM_UP = 500
"""Number of inputs after which the process has its size."""


class Finding(AssertionError):
    """An input broke what a target promises."""


class Target(Protocol):
    """Something that takes any bytes."""

    def start(self) -> None:
        """Make what is fuzzed; called once, before the first input."""

    def run(self, data: bytes) -> None:
        """Handle one input.

        Raises:
            Finding: what is promised was not kept. So does every other exception.
        """

    def stop(self) -> None:
        """Undo :meth:`start`."""


class ErrorLog(logging.Handler):
    """Handler that keeps the errors that are logged: an exception that was caught is a finding too."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._lines: list[str] = []
        self._formatter = logging.Formatter("%(name)s: %(message)s")

    def emit(self, record: logging.LogRecord) -> None:
        """Keep an error with its traceback."""
        self._lines.append(self._formatter.format(record))

    def note(self, text: str) -> None:
        """Keep an error that was not logged."""
        self._lines.append(text)

    def check(self) -> None:
        """Raise a Finding if there were errors since the last call."""
        if self._lines:
            lines, self._lines = self._lines, []
            raise Finding("\n".join(lines))


class SteppedLoop:
    """An event loop that runs for as many turns as it is told, and notes what goes wrong in it.

    Args:
        factory: makes the event loop.
    """

    def __init__(self, factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self.loop = factory()
        self.errors = ErrorLog()
        self.loop.set_exception_handler(self._note)
        self._logger = logging.getLogger("crosswire")
        self._logger.addHandler(self.errors)
        self._was = self._logger.propagate, self._logger.level
        self._logger.propagate = False
        self._logger.setLevel(logging.ERROR)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end."""
        return self.loop.run_until_complete(coroutine)

    def step(self, turns: int = 1) -> None:
        """Run some turns of the event loop."""
        for _ in range(turns):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()

    def step_until(self, condition: Callable[[], object], what: str, turns: int = 2000) -> None:
        """Run turns until a condition is true; raise a Finding if it does not become true."""
        for _ in range(turns):
            if condition():
                return
            self.step()
        raise Finding(f"not within {turns} turns of the event loop: {what}")

    @property
    def tasks(self) -> int:
        """Number of tasks that have not ended."""
        return len(asyncio.all_tasks(self.loop))

    def close(self) -> None:
        """Close the event loop."""
        self._logger.removeHandler(self.errors)
        propagate, level = self._was
        self._logger.propagate = propagate
        self._logger.setLevel(level)  # loggers below it remember what they may log until this is called
        self.loop.close()

    def _note(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.errors.note(f"{context['message']}: {error!r}")


class Bounds:
    """Time and memory of a target's inputs."""

    def __init__(self) -> None:
        self._count = 0
        self._resident = 0

    def run(self, target: Target, data: bytes) -> None:
        """Run an input; raise a Finding if it takes too much time, or if memory grows from input to input."""
        begun = time.thread_time()
        target.run(data)
        used = time.thread_time() - begun
        if used > MAX_CPU:
            raise Finding(f"an input of {len(data)} bytes took {used:.1f} s of CPU time")
        self._count += 1
        if self._count % WARM_UP == 0:
            self._check_memory()

    def _check_memory(self) -> None:
        resident = _resident()
        if not self._resident:
            self._resident = resident
        elif resident - self._resident > MAX_GROWTH:
            raise Finding(f"the process has grown by {(resident - self._resident) >> 20} MiB in {self._count} inputs")


def _resident() -> int:
    return (
        int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() if sys.platform == "linux" else 0
    )
