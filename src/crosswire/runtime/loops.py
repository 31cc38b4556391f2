"""Event loops: uvloop, if it exists for the platform, else asyncio's own."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")
GC_THRESHOLD = 50_000
"""Objects that may be allocated, and not freed, before the garbage collector examines them."""


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return the factory of the fastest event loop for the platform, or None for asyncio's own."""
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine like ``asyncio.run``, on the fastest loop, and with less frequent garbage collection."""
    with runner() as fresh:
        return fresh.run(main)


@contextmanager
def runner() -> Iterator[asyncio.Runner]:
    """Return a context with a runner of the fastest event loop, and with less frequent garbage collection."""
    with infrequent_gc(), asyncio.Runner(loop_factory=loop_factory()) as fresh:
        yield fresh


@contextmanager
def infrequent_gc() -> Iterator[None]:
    """Let Python's garbage collector ignore existing objects, and examine new ones less often, while a context lasts.

    By default it runs whenever 700 more objects are alive than before. A server with a few hundred running handlers has
    always just created thousands of objects, all of them in use: the collector would take a third of its time.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
