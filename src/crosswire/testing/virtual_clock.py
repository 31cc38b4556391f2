"""An event loop on which time passes as fast as its code: its clock jumps to the next timer instead of waiting."""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Callable, Coroutine
from threading import Lock, get_ident
from typing import Any, NamedTuple, NoReturn, Self, TypeVar

from crosswire.runtime import environment
from crosswire.testing.garbage import collect, collected_on_request

T = TypeVar("T")

BEGIN = 1000.0
"""Seconds that the clock of a new loop shows."""
WALL_BEGIN = 1_893_456_000.0
"""Real time, in seconds since 1970, when the clock of a new loop begins: the first of January 2030, in UTC."""
STEP = 1e-9
"""Seconds that pass whenever the clock is read, so that of two equal delays the one that began first ends first."""
COLLECT_AFTER = 20_000
"""Turns of a loop after which it collects garbage; nothing does in between."""


class NothingLeft(RuntimeError):
    """Every task waits, no timer is set, and so nothing can ever happen."""


def run(main: Coroutine[Any, Any, T], *, seed: int | None = None) -> T:
    """Run a coroutine on a loop with a virtual clock, and return its result.

    Args:
        main: the coroutine.
        seed: of the random numbers that Crosswire draws, so that each run draws the same; None for other ones.

    Raises:
        NothingLeft: it waits for something that never comes.

    Example::

        async def ten_minutes() -> None:
            await asyncio.sleep(600)

        crosswire.testing.virtual_clock.run(ten_minutes())  # takes no time
    """
    with asyncio.Runner(loop_factory=lambda: VirtualClockLoop(seed)) as runner:
        return runner.run(main)


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """An event loop of asyncio whose clock jumps to the next timer when nothing else is left to do.

    While it runs, the clocks of Crosswire follow it in its thread: heartbeats, timeouts, backoffs, beats. Those of the
    module ``time`` do not: an application that is to follow it reads ``loop.time()``. Functions for an executor, as of
    ``asyncio.to_thread``, run in the loop itself, in the next turn. There are no sockets and no child processes. What
    is garbage is collected after so many turns, not when the process happens to: a coroutine may have cleanups. So the
    order of all that happens is the same in each run.

    Args:
        seed: as for :func:`run`.

    Attributes:
        random: source of random numbers.
        seeded: whether Crosswire draws its random numbers there, too.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._passing = _PassingTime(self)
        self.random = random.Random(seed)
        self.seeded = seed is not None
        self._tasks_created = 0
        super().__init__(self._passing)
        self._clock_resolution = STEP  # the machine's clock does not decide which timers run together

    @classmethod
    def stand_still(cls, seconds: float) -> None:
        """Advance the clock of the running loop without running it, as a handler that blocks does."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, cls)
        loop._passing.now += seconds

    def time(self) -> float:
        """Return the seconds of the virtual clock."""
        self._passing.now += STEP
        return self._passing.now

    @property
    def now(self) -> float:
        """The seconds of the virtual clock, without moving it."""
        return self._passing.now

    def wall_time(self) -> float:
        """Return the simulated real time, in seconds since 1970."""
        return WALL_BEGIN + self._passing.now - BEGIN

    def run_forever(self) -> None:
        """Run until it is stopped, with Crosswire's clocks on this loop."""
        with _LOCK:
            _ENVIRONMENT.enter(self)
        try:
            with collected_on_request():
                super().run_forever()
        finally:
            with _LOCK:
                _ENVIRONMENT.leave()

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, **options: Any
    ) -> asyncio.Task[T]:
        """Run a coroutine in a task. Without a name it gets one with its number on this loop, not in the process."""
        self._tasks_created += 1
        return super().create_task(coro, name=name or f"Task-{self._tasks_created}", **options)

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """Run a function in the next turn of the loop, instead of in a thread."""
        future: asyncio.Future[T] = self.create_future()
        self.call_soon(_run_for, future, func, args)
        return future

    def _refuse(self, *args: object, **options: object) -> NoReturn:
        raise RuntimeError(
            "a loop with a virtual clock has no sockets and no processes: connect with crosswire.testing.connect or "
            "Simulation.client, and start servers with Simulation.server, or with start(listen=False)"
        )

    # Refused when they are called: whoever awaits gets no further.
    create_connection = create_server = create_datagram_endpoint = _refuse
    create_unix_connection = create_unix_server = getaddrinfo = _refuse
    sock_connect = sock_accept = sock_recv = sock_recv_into = sock_sendall = _refuse
    connect_read_pipe = connect_write_pipe = subprocess_exec = subprocess_shell = _refuse


class _PassingTime(selectors.SelectSelector):
    """Selector of a loop; it advances the clock instead of waiting."""

    def __init__(self, loop: VirtualClockLoop) -> None:
        super().__init__()
        self._loop = loop
        self._turns = 0
        self.now = BEGIN

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._turns += 1
        if self._turns % COLLECT_AFTER == 0:
            collect()
        ready = super().select(0)  # whatever other threads call
        if not ready:
            if timeout is None:
                waiting = ", ".join(sorted(task.get_name() for task in asyncio.all_tasks(self._loop)))
                raise NothingLeft(f"all tasks wait for something that never comes: {waiting or 'there are none'}")
            self.now += max(timeout, 0)
        return ready


class _Functions(NamedTuple):
    """Set of those functions of :mod:`crosswire.runtime.environment` that a loop replaces."""

    monotonic: Callable[[], float]
    wall_time: Callable[[], float]
    random: Callable[[], float]
    urandom: Callable[[int], bytes]

    @classmethod
    def present(cls) -> Self:
        """Return the functions that are in use now."""
        return cls(environment.monotonic, environment.wall_time, environment.random, environment.urandom)


class _ThreadEnvironment:
    """Time and randomness of the threads that run loops with virtual clocks; all other threads keep theirs."""

    def __init__(self) -> None:
        self._loops: dict[int, VirtualClockLoop] = {}
        self._restore: Callable[[], None] = lambda: None
        self._process = self._others = _Functions.present()

    def enter(self, loop: VirtualClockLoop) -> None:
        """Use the clock of a loop in the present thread."""
        if not self._loops:
            self._others = self._functions_of_others()
            self._restore = environment.replace(self)
        self._loops[get_ident()] = loop

    def leave(self) -> None:
        """Use the clock of the process in the present thread."""
        del self._loops[get_ident()]
        if not self._loops:
            self._restore()
            self._others = self._process  # a function that was patched before the loop ran may be put back now

    def _functions_of_others(self) -> _Functions:
        """Return the present functions. One that was patched while a loop ran is a method of this object afterwards."""
        ours = _Functions(self.monotonic, self.wall_time, self.random, self.urandom)
        found = zip(_Functions.present(), ours, self._process, strict=True)
        return _Functions._make(process if present == own else present for present, own, process in found)

    # Environment

    def monotonic(self) -> float:
        """Return seconds of the thread's clock."""
        loop = self._loops.get(get_ident())
        return self._others.monotonic() if loop is None else loop.time()

    def wall_time(self) -> float:
        """Return the real time of the thread."""
        loop = self._loops.get(get_ident())
        return self._others.wall_time() if loop is None else loop.wall_time()

    def random(self) -> float:
        """Return a number in [0, 1)."""
        loop = self._loops.get(get_ident())
        return loop.random.random() if loop is not None and loop.seeded else self._others.random()

    def urandom(self, count: int) -> bytes:
        """Return as many random bytes."""
        loop = self._loops.get(get_ident())
        return loop.random.randbytes(count) if loop is not None and loop.seeded else self._others.urandom(count)


_LOCK = Lock()
_ENVIRONMENT = _ThreadEnvironment()


def _run_for(future: asyncio.Future[T], func: Callable[..., T], args: tuple[Any, ...]) -> None:
    if future.cancelled():
        return
    try:
        future.set_result(func(*args))
    except BaseException as error:  # noqa: BLE001 - whoever waits for it gets it
        future.set_exception(error)
