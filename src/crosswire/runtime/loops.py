"""The event loop to run on: uvloop, where there is one for the platform."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")
_NEW_OBJECTS = 50_000
"""Objects that may be made, and not freed, before the collector looks at them."""


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes the fastest loop here, or None for asyncio's own."""
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` on a fresh loop, as ``asyncio.run`` does, and collect garbage as suits a process of its own."""
    with runner() as fresh:
        return fresh.run(main)


@contextmanager
def runner() -> Iterator[asyncio.Runner]:
    """Have a runner with a fresh loop of that kind, and garbage collected so, for as long as the context lasts."""
    with seldom_collecting(), asyncio.Runner(loop_factory=loop_factory()) as fresh:
        yield fresh


@contextmanager
def seldom_collecting() -> Iterator[None]:
    """Let Python's collector of cycles leave alone what is loaded, and look at the rest less often.

    By default it looks whenever 700 objects more live than before. A server that has a few hundred handlers at work
    has always just made thousands, all of which are in use: a third of its time would go into finding that out.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
