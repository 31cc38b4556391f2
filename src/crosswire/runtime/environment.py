"""The time and the randomness of this process; a simulation replaces them.

Code of the layers above calls ``environment.monotonic()`` and the like, through the module, and keeps none of these
functions: so it follows the clock of :class:`crosswire.testing.VirtualClockLoop`, and costs what the functions of the
standard library cost. The event loop's own timers follow that clock anyhow.
"""

from __future__ import annotations

import os
import random as _random
import time as _time
from collections.abc import Callable
from typing import Protocol

monotonic: Callable[[], float] = _time.monotonic
"""Return seconds of a clock that never goes back."""
perf_counter: Callable[[], float] = _time.perf_counter
"""Return seconds of the finest clock, for durations."""
wall_time: Callable[[], float] = _time.time
"""Return the real time, in seconds since 1970."""
random: Callable[[], float] = _random.random
"""Return a number in [0, 1)."""
urandom: Callable[[int], bytes] = os.urandom
"""Return as many random bytes, for ids that nobody can guess."""


class Environment(Protocol):
    """Time and randomness that replace those of the process."""

    def monotonic(self) -> float:
        """Return seconds of a clock that never goes back."""
        ...

    def wall_time(self) -> float:
        """Return the simulated real time, in seconds since 1970."""
        ...

    def random(self) -> float:
        """Return a number in [0, 1)."""
        ...

    def urandom(self, count: int) -> bytes:
        """Return as many random bytes."""
        ...


def replace(environment: Environment) -> Callable[[], None]:
    """Use another environment from now on; return a function that restores the present one."""
    before = monotonic, perf_counter, wall_time, random, urandom
    _use(environment.monotonic, environment.monotonic, environment.wall_time, environment.random, environment.urandom)
    return lambda: _use(*before)


def _use(
    new_monotonic: Callable[[], float],
    new_perf_counter: Callable[[], float],
    new_wall_time: Callable[[], float],
    new_random: Callable[[], float],
    new_urandom: Callable[[int], bytes],
) -> None:
    global monotonic, perf_counter, wall_time, random, urandom
    monotonic, perf_counter, wall_time = new_monotonic, new_perf_counter, new_wall_time
    random, urandom = new_random, new_urandom


def token_hex(count: int) -> str:
    """Return that many random bytes, written in hexadecimal."""
    return urandom(count).hex()
