"""SIGINT and SIGTERM as a queue, for a process whose event loop is never held."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def signal_queue() -> Iterator[asyncio.Queue[signal.Signals]]:
    """Put SIGINT and SIGTERM into a queue while the context lasts."""
    loop = asyncio.get_running_loop()
    # Two are enough: the first stops, the second hurries, more change nothing.
    caught: asyncio.Queue[signal.Signals] = asyncio.Queue(maxsize=2)

    def catch(number: signal.Signals) -> None:
        if not caught.full():
            caught.put_nowait(number)

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number in _SIGNALS:
        try:
            loop.add_signal_handler(number, catch, number)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda n, _frame: loop.call_soon_threadsafe(catch, signal.Signals(n)))
    try:
        yield caught
    finally:
        for number, handler in before.items():
            with suppress(NotImplementedError):  # Windows
                loop.remove_signal_handler(number)
            signal.signal(number, handler)


async def signal_before(
    other: Coroutine[Any, Any, None], caught: asyncio.Queue[signal.Signals]
) -> signal.Signals | None:
    """Wait for a signal or a coroutine; return the signal, or None if the coroutine ended first."""
    tasks = asyncio.create_task(caught.get()), asyncio.create_task(other)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return tasks[0].result() if tasks[0].done() else None
    finally:
        for task in tasks:
            task.cancel()
