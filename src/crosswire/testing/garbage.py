"""Garbage collection at the same moments of each run: what it ends may have cleanups, and they are part of the run."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_lock = Lock()
_runs = 0
_was_enabled = False


@contextmanager
def collected_on_request() -> Iterator[None]:
    """Collect garbage only by :func:`collect` meanwhile, however much there is; with several threads, until all end.

    What others have left is collected at the beginning.
    """
    _begin()
    try:
        yield
    finally:
        _end()


def collect() -> None:
    """Collect the young garbage: to look at all objects of a process would take too long."""
    gc.collect(1)


def _begin() -> None:
    global _runs, _was_enabled
    with _lock:
        if not _runs:
            _was_enabled = gc.isenabled()
            gc.disable()
            collect()
        _runs += 1


def _end() -> None:
    global _runs
    with _lock:
        _runs -= 1
        if not _runs and _was_enabled:
            gc.enable()
