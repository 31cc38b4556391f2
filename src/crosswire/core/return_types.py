"""Return values of handlers: their types, and checks against annotations."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Collection, Coroutine
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import Any, ClassVar, NewType, Protocol, TypeVar, Union, get_args, get_origin, is_typeddict
from uuid import UUID

import msgspec

from crosswire.core.payload_types import PayloadType, payload_type
from crosswire.errors import ConfigError, InvalidPayload


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
"""Type of values that have a JSON form, for type checkers."""

Answer = Sendable | Awaitable[Any]
"""Type of what a handler returns, for type checkers: an answer, or an awaitable of one."""


class ReturnType:
    """Check of a handler's answers against its return annotation.

    An instance of an annotated class fits. Other values, and containers whose items have a type, are converted: a value
    fits if that succeeds, or if its JSON form can be decoded into the annotated type.

    Args:
        kind: type that the annotation names.

    Attributes:
        sure: classes whose instances fit; callers test them before they call the methods.
        items: classes whose own instances fit as items of a dict with text for keys; none if unknown.
        few: items of such a dict that callers look at one by one before they call the methods; -1 for none.
    """

    __slots__ = ("_box", "_kind", "few", "items", "sure")

    def __init__(self, kind: PayloadType) -> None:
        self._kind = kind
        # msgspec analyses an annotation at every conversion, but a Struct that contains it only once.
        self._box = msgspec.defstruct("Answer", [("answer", kind.annotation)], array_like=True)
        self.sure = _classes(kind.annotation)
        self.items = _item_classes(kind.annotation)
        self.few = _FEW if self.items else -1

    def checked(self, value: Any) -> Any:
        """Check what a handler returned, and return it; of an awaitable, check the result once it is awaited.

        Raises:
            TypeError: the value does not fit.
        """
        if hasattr(value, "__await__"):
            return self.awaited(value)  # pyright: ignore[reportArgumentType]
        self.require(value)
        return value

    def require(self, value: Any) -> None:
        """Check a value that is no awaitable; raises TypeError if it does not fit."""
        if type(value) is dict and len(value) <= self.few:  # as in `decoded_call`: it is half the work
            items = self.items
            for key in value:
                if type(key) is not str or type(value[key]) not in items:
                    break
            else:
                return
        try:
            msgspec.convert((value,), self._box)
        except (msgspec.ValidationError, RecursionError, ValueError, TypeError) as error:
            if not self._has_its_form(value):
                wanted = self._kind.annotation
                text = _QUOTED.sub("...", str(error).replace("$[0]", "$"))  # no values in logs
                raise TypeError(
                    f"the handler returned {type(value).__name__}, which does not fit its annotation, "
                    f"{wanted.__name__ if isinstance(wanted, type) else wanted}: {text}"
                ) from None

    async def awaited(self, begun: Coroutine[Any, Any, Any]) -> Any:
        """Await a coroutine that a handler returned, check its result, and return that."""
        value = await begun
        if not isinstance(value, self.sure):
            self.require(value)
        return value

    def _has_its_form(self, value: Any) -> bool:
        """Return whether the JSON form of a value can be decoded into the annotated type."""
        try:
            self._kind.from_json(msgspec.json.encode(value))
        except (InvalidPayload, TypeError, ValueError, RecursionError, OverflowError, AttributeError):
            return False
        return True


_FEW = 8
"""Items of a dict that are looked at one by one; msgspec is faster with more."""
_PLAIN = (str, bool, int, float, NoneType)
"""Classes whose own instances fit an annotation that names them, whatever their value."""
_QUOTED = re.compile(r"'[^']*'")
_AWAITABLES = ("Awaitable", "Coroutine", "Future", "Task")
_CONTAINERS = (list, dict, tuple, set, frozenset)  # a Sequence might be text, which is not encoded as an array
_UNCHECKED: tuple[Any, ...] = (Any, object)


def return_type(annotation: Any) -> ReturnType | None:
    """Return the check for a return annotation; None if the annotation can't be checked.

    It can be checked if it can be the type of a payload; a class that msgspec does not know can't.

    Args:
        annotation: return annotation of a handler; of an awaitable, its result counts.
    """
    members = _settled(annotation)
    if any(each in _UNCHECKED or isinstance(each, TypeVar) for each in members):
        return None
    try:
        return ReturnType(payload_type(Union[members]))  # noqa: UP007 - as many as there are
    except (ConfigError, TypeError):
        return None


def _settled(annotation: Any) -> tuple[Any, ...]:
    """Return the alternatives of an annotation. An awaitable stands for the alternatives of its result."""
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        return tuple(each for member in get_args(annotation) for each in _settled(member))
    if getattr(origin or annotation, "__name__", "") in _AWAITABLES and _is_awaitable(origin or annotation):
        return _settled((get_args(annotation) or (Any,))[-1])
    return (annotation,)


def _is_awaitable(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Awaitable)


def _classes(annotation: Any) -> tuple[type, ...]:
    """Return the classes whose instances fit an annotation without a conversion."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is None:
        return (NoneType,)
    if origin in (Union, UnionType):
        return tuple(cls for member in arguments for cls in _classes(member))
    if isinstance(annotation, NewType):
        return _classes(annotation.__supertype__)
    if origin in _CONTAINERS:
        anything = arguments[-1] in (*_UNCHECKED, ...) and set(arguments) <= {*_UNCHECKED, str, ...}
        return (origin,) if anything else ()
    if origin is not None or not isinstance(annotation, type) or is_typeddict(annotation):
        return ()
    return (float, int) if annotation is float else (annotation,)


def _item_classes(annotation: Any) -> tuple[type, ...]:
    """Return the classes whose own instances fit as items of an annotated dict with text for keys; none if unknown."""
    arguments = get_args(annotation)
    if get_origin(annotation) is not dict or arguments[0] is not str:
        return ()
    item = arguments[1]
    classes = get_args(item) if get_origin(item) in (Union, UnionType) else (NoneType if item is None else item,)
    return classes if all(each in _PLAIN for each in classes) else ()
