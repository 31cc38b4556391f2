"""Running a server or node in a process, from its start to the signal that ends it."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Callable
from typing import Protocol

from crosswire.core.options import require_drain
from crosswire.errors import ConfigError, UsageError
from crosswire.runtime import loops
from crosswire.runtime.log_records import get_logger
from crosswire.runtime.stop_signals import StopSignals

UNDO_TIMEOUT = 1.0
"""Seconds to undo a start that a signal interrupts, or to stop when the event loop ends. After that it is hurried."""

LEFT_TASKS_TIMEOUT = 0.5
"""Seconds after which the process exits if tasks of the application do not end."""

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
logger = get_logger("crosswire.process")


class Service(Protocol):
    """Server or node that a process runs."""

    async def start(self) -> None:
        """Start the service; if the start is cancelled, undo it."""

    async def stop(self, drain: float) -> None:
        """Stop the service within ``drain`` seconds; at once if the stop is cancelled."""

    async def wait_until_replaced(self) -> None:
        """Wait until another service has taken over its name."""

    @property
    def reload(self) -> Callable[[], None] | None:
        """Function that loads files again, at a SIGHUP; None if there are none, and a SIGHUP ends the process."""
        ...

    @property
    def name(self) -> str:
        """Name of the node in the cluster."""
        ...


def run(what: str, service: Service, drain: float) -> None:
    """Run until SIGINT, which stops at once, or SIGTERM, which drains; a second signal hurries. Blocks.

    Args:
        what: "server" or "node", for errors.
        service: the server or node.
        drain: seconds that a stop after SIGTERM may take.

    Raises:
        UsageError: an event loop runs already, or this is not the main thread.
        SystemExit: its configuration does not work; Python prints the text, which says why. The exit code is 1.
        Exception: an error of the application's own code.
    """
    _require_place(what)
    drain = require_drain(drain)
    # The whole process belongs to the server: log what happens, unless the application has configured logging.
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)
    try:
        with StopSignals() as signals, loops.runner() as runner:
            runner.run(_run_to_the_end(service, drain, signals))
    except ConfigError as error:
        # To correct the configuration, a traceback is of no use.
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


async def _run_to_the_end(service: Service, drain: float, signals: StopSignals) -> None:
    """Run a service, stop it as the signals demand, and make sure that no task keeps the process after that."""
    loop = asyncio.get_running_loop()
    signals.attach(loop)
    if (reload := service.reload) is not None and hasattr(signal, "SIGHUP"):
        loop.add_signal_handler(signal.SIGHUP, reload)
    try:
        await _serve(service, drain, signals)
    except asyncio.CancelledError:  # something ends the event loop, for example sys.exit() in a handler
        await _stop_soon(service)
        raise
    finally:
        if signals.number is not None:
            await _end_others(signals)


async def _stop_soon(service: Service) -> None:
    stopping = asyncio.create_task(service.stop(0), name="crosswire stop")
    if not (await asyncio.wait({stopping}, timeout=UNDO_TIMEOUT))[0]:
        stopping.cancel()
        await asyncio.wait({stopping})


async def _end_others(signals: StopSignals) -> None:
    """Cancel the tasks that are left, as the end of an event loop does, but do not wait forever."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others and (left := (await asyncio.wait(others, timeout=UNDO_TIMEOUT))[1]):
        names = ", ".join(sorted(task.get_name() for task in left))
        logger.error("tasks that do not end although they are cancelled keep the process from ending: %s", names)
        signals.exit_within(LEFT_TASKS_TIMEOUT)


async def _serve(service: Service, drain: float, signals: StopSignals) -> None:
    starting = asyncio.create_task(service.start(), name="crosswire start")
    if await _comes_first(signals.first, starting):
        await _cancel_start(starting, service, signals)
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


async def _cancel_start(starting: asyncio.Task[None], service: Service, signals: StopSignals) -> None:
    """Cancel a start; if it has just succeeded, stop the service."""
    starting.cancel()
    hurry = asyncio.create_task(signals.second.wait(), name="crosswire second signal")
    await asyncio.wait({starting, hurry}, timeout=UNDO_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
    hurry.cancel()
    if not starting.done():
        starting.cancel()
        await asyncio.wait({starting})
    if starting.cancelled():
        return
    if (error := starting.exception()) is None:
        await service.stop(0)
    else:
        logger.info("the start that was cancelled ended with %r", error)


async def _comes_first(event: asyncio.Event, task: asyncio.Task[None]) -> bool:
    """Wait for an event or for the end of a task; return whether the event came first."""
    waiting = asyncio.create_task(event.wait(), name="crosswire signal")
    try:
        await asyncio.wait({waiting, task}, return_when=asyncio.FIRST_COMPLETED)
        return event.is_set() and not task.done()
    finally:
        waiting.cancel()
