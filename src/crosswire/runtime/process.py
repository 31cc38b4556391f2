"""A process that runs one thing, from its start to the signal that ends it."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from typing import Protocol

from crosswire.core.options import require_drain
from crosswire.errors import ConfigError, UsageError
from crosswire.runtime import loops
from crosswire.runtime.interrupts import StopSignals

_UNDO = 1.0
"""Seconds that a start which is broken off, or a stop when the event loop ends, gets; then it is hurried."""

_LEFT = 0.5
"""Seconds that the process lives on when tasks of the application do not end."""

_LOGS = "%(asctime)s %(levelname)s %(name)s: %(message)s"
logger = logging.getLogger("crosswire.process")


class Service(Protocol):
    """What a process runs."""

    async def start(self) -> None:
        """Begin; being cancelled, undo what was begun."""

    async def stop(self, drain: float) -> None:
        """End, within ``drain`` seconds, or, being cancelled, at once."""

    async def wait_until_replaced(self) -> None:
        """Wait until another service has taken over its name."""

    @property
    def name(self) -> str:
        """Under which others know it."""
        ...


def run(what: str, service: Service, drain: float) -> None:
    """Run until SIGINT, which stops at once, or SIGTERM, which drains; a second signal hurries. Blocks.

    Args:
        what: it is, in a word, for errors.
        service: to be run.
        drain: seconds.

    Raises:
        UsageError: it can't be run in this place.
        SystemExit: it can't work where it is started: the text, which Python prints, says why. The exit code is 1.
        Exception: whatever the application's own code raised.
    """
    _require_place(what)
    require_drain(drain)
    # The process is ours now: say what happens, unless the application has set up logging of its own.
    logging.basicConfig(level=logging.INFO, format=_LOGS)
    try:
        with StopSignals() as signals, loops.runner() as runner:
            runner.run(_live(service, drain, signals))
    except ConfigError as error:
        # Who starts it can mend that; where in the code it was found out does not help with it.
        raise SystemExit(f"{error.code}: {error}") from error


def _require_place(what: str) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise UsageError(
            "run() makes an event loop of its own, and one is running here already, as in Jupyter or in an "
            f"asynchronous function: `await {what}.start()` instead, and `await {what}.stop()` in the end"
        )
    if threading.current_thread() is not threading.main_thread():
        raise UsageError(
            "run() waits for SIGINT and SIGTERM, which only the main thread gets: in another thread, run an event "
            f"loop of your own, with `asyncio.run(main())`, and in main() `async with {what}:`"
        )


async def _live(service: Service, drain: float, signals: StopSignals) -> None:
    """Run a service, stop it as the signals say, and see that nothing keeps its process then."""
    signals.attach(asyncio.get_running_loop())
    try:
        await _serve(service, drain, signals)
    except asyncio.CancelledError:  # something ends the event loop, such as sys.exit() in a handler
        await _stop_soon(service)
        raise
    finally:
        if signals.number is not None:
            await _end_others(signals)


async def _stop_soon(service: Service) -> None:
    stopping = asyncio.create_task(service.stop(0), name="crosswire stop")
    if not (await asyncio.wait({stopping}, timeout=_UNDO))[0]:
        stopping.cancel()
        await asyncio.wait({stopping})


async def _end_others(signals: StopSignals) -> None:
    """Cancel the tasks that are left, as the end of an event loop does, but do not wait for ever."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others and (left := (await asyncio.wait(others, timeout=_UNDO))[1]):
        names = ", ".join(sorted(task.get_name() for task in left))
        logger.error("tasks that do not end when they are cancelled keep the process from its end: %s", names)
        signals.exit_within(_LEFT)


async def _serve(service: Service, drain: float, signals: StopSignals) -> None:
    starting = asyncio.create_task(service.start(), name="crosswire start")
    if await _comes_first(signals.first, starting):
        await _break_off(starting, service, signals)
        return
    starting.result()
    signals.started()
    lost = asyncio.create_task(service.wait_until_replaced(), name="crosswire watch over the name")
    by_signal = await _comes_first(signals.first, lost)
    lost.cancel()
    number = signals.number
    signals.watch()
    stopping = asyncio.create_task(service.stop(drain if number == signal.SIGTERM else 0), name="crosswire stop")
    if await _comes_first(signals.second, stopping):
        stopping.cancel()
        await asyncio.wait({stopping})
    if not stopping.cancelled():
        stopping.result()
    if not by_signal:
        raise ConfigError(f"another node has taken over the name {service.name!r}")


async def _break_off(starting: asyncio.Task[None], service: Service, signals: StopSignals) -> None:
    """End a start at once; if it has just succeeded, stop what it started."""
    starting.cancel()
    hurry = asyncio.create_task(signals.second.wait(), name="crosswire second signal")
    await asyncio.wait({starting, hurry}, timeout=_UNDO, return_when=asyncio.FIRST_COMPLETED)
    hurry.cancel()
    if not starting.done():
        starting.cancel()
        await asyncio.wait({starting})
    if starting.cancelled():
        return
    if (error := starting.exception()) is None:
        await service.stop(0)
    else:
        logger.info("the start that was broken off ended with %r", error)


async def _comes_first(event: asyncio.Event, task: asyncio.Task[None]) -> bool:
    """Wait for an event or for the end of a task; tell whether it was the event."""
    waiting = asyncio.create_task(event.wait(), name="crosswire signal")
    try:
        await asyncio.wait({waiting, task}, return_when=asyncio.FIRST_COMPLETED)
        return event.is_set() and not task.done()
    finally:
        waiting.cancel()
