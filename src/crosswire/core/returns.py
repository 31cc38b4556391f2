"""What a handler may return."""

from __future__ import annotations

from collections.abc import Awaitable, Collection
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, ClassVar, Protocol
from uuid import UUID

import msgspec


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


class _Attrs(Protocol):
    __attrs_attrs__: ClassVar[Any]


Sendable = (
    None
    | int
    | float
    | Collection[Any]  # str, bytes, list, dict, set, ...; no generator
    | msgspec.Struct
    | _Dataclass
    | _Attrs
    | msgspec.Raw
    | date
    | time
    | timedelta
    | Decimal
    | UUID
    | Enum
)
"""What has a JSON form, for type checkers."""

Answer = Sendable | Awaitable[Any]
"""What a handler returns, for type checkers: an answer, or a coroutine that gives one."""
