"""What the annotations of a handler say."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import partial
from types import NoneType, SimpleNamespace, UnionType
from typing import Annotated, Any, Literal, NewType, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

UNKNOWN: Any = object()
"""Stands for an annotation that can't be resolved."""

_UNRESOLVED = (NameError, AttributeError, SyntaxError, TypeError)


def resolved(handler: Callable[..., Any], name: str, annotation: Any) -> Any:
    """Return an annotation of a handler as an object, if it is a string.

    Args:
        handler: whose annotation it is.
        name: of the parameter, or "return".
        annotation: as it was found.

    Raises:
        NameError, AttributeError, SyntaxError, TypeError: it can't be resolved.
    """
    if not isinstance(annotation, str):
        return annotation
    # This annotation alone: the others may name what is imported for type checkers only.
    wanted: Any = SimpleNamespace(__annotations__={name: annotation})
    return get_type_hints(wanted, _globals(handler), _registering_names(), include_extras=True)[name]


def known(handler: Callable[..., Any], name: str, annotation: Any) -> Any:
    """As :func:`resolved`, with ``UNKNOWN`` where it can't be resolved, and Any where there is none."""
    if annotation is inspect.Parameter.empty:
        return Any
    try:
        return resolved(handler, name, annotation)
    except _UNRESOLVED:
        return UNKNOWN


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """Tell what a value of an annotation is one of: the members of a union, the values of a Literal, what
    an alias or a NewType stands for; ``Annotated`` is taken off.
    """
    if annotation is None:
        return (NoneType,)
    if get_origin(annotation) is Annotated:
        return alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return tuple(each for member in get_args(annotation) for each in alternatives(member))
    if get_origin(annotation) is Literal:
        return tuple(Literal[value] for value in get_args(annotation))
    if isinstance(annotation, NewType):
        return alternatives(annotation.__supertype__)
    if isinstance(annotation, TypeVar):
        options = annotation.__constraints__ or (annotation.__bound__ or Any,)
        return tuple(each for option in options for each in alternatives(option))
    if type(annotation).__name__ == "TypeAliasType":  # `type Name = ...` of Python 3.12
        return alternatives(annotation.__value__)
    return (annotation,)


def may_be(annotation: Any, kinds: tuple[type, ...]) -> bool:
    """Whether a value of one of these classes may be what an annotation says; True where that can't be told."""
    return any(_fits(each, kind) for each in alternatives(annotation) for kind in kinds)


def _fits(annotation: Any, kind: type) -> bool:
    if get_origin(annotation) is Literal:
        return any(isinstance(value, kind) for value in get_args(annotation))
    cls = get_origin(annotation) or annotation
    if cls is Any or not isinstance(cls, type) or getattr(cls, "_is_protocol", False):
        return True
    if is_typeddict(cls):
        cls = dict
    if cls in (float, complex) and issubclass(kind, int | float):
        return True  # PEP 484: an int is a float
    return issubclass(cls, kind) or issubclass(kind, cls)


def _globals(handler: Callable[..., Any]) -> dict[str, Any]:
    """The names that a handler's annotations were written among."""
    function: Any = inspect.unwrap(handler)
    while isinstance(function, partial):
        function = inspect.unwrap(function.func)
    if not inspect.isroutine(function):
        function = inspect.unwrap(type(function).__call__)
    return getattr(function, "__globals__", {})


def _registering_names() -> dict[str, Any]:
    """The local names where a handler is being registered: its types may be defined there, in a function."""
    frame = sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("crosswire."):
        frame = frame.f_back
    return frame.f_locals
