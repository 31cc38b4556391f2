"""Requests to several nodes, checked where the application makes them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from crosswire.core.names import require_event, require_name
from crosswire.core.options import require_timeout
from crosswire.core.payload_types import PayloadType, payload_type
from crosswire.errors import UsageError


class GatherRequest(NamedTuple):
    """A checked request to several nodes; ``Node.gather`` describes the fields."""

    event: str
    data: Any
    to: Collection[str] | None
    timeout: float
    expect: int | None
    include_self: bool
    kind: PayloadType


def gather_request(
    event: str,
    data: Any,
    to: str | Iterable[str] | None,
    timeout: float,
    expect: int | None,
    include_self: bool,
    answer: Any,
) -> GatherRequest:
    """Check the arguments of ``gather`` and ``stream``; ``answer`` is the type of an answer.

    Raises:
        UsageError: a name, the timeout or ``expect`` can't be used.
        ConfigError: the type can't be decoded.
    """
    names, event, timeout = names_of(to), require_event(event), require_timeout(timeout)
    if expect is not None and not (type(expect) is int and expect >= 1):
        raise UsageError(f"expect is how many answers are enough, 1 or more, not {expect!r}")
    return GatherRequest(event, data, names, timeout, expect, include_self, payload_type(answer))


def names_of(to: str | Iterable[str] | None) -> tuple[str, ...] | None:
    """Check the names of nodes, one or several; None means all nodes."""
    if to is None:
        return None
    names = (to,) if isinstance(to, str) else tuple(to)
    return tuple(require_name(name, "a node's name") for name in names)
