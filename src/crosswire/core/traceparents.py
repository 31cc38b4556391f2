"""The place of a message in a trace, as W3C Trace Context names it, on its way from the network to what handles it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

TRACEPARENT: ContextVar[str | None] = ContextVar("crosswire traceparent", default=None)
"""The ``traceparent`` of the message that is being handed to its handlers; None if it has none, or nobody traces."""


@contextmanager
def incoming(traceparent: str | None) -> Iterator[None]:
    """Hand on a message with this ``traceparent``."""
    token = TRACEPARENT.set(traceparent)
    try:
        yield
    finally:
        TRACEPARENT.reset(token)
