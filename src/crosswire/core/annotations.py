"""Resolution and analysis of the annotations of handlers."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import FrameType, FunctionType, NoneType, SimpleNamespace, UnionType
from typing import Annotated, Any, Literal, NewType, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

UNKNOWN: Any = object()
"""Returned for an annotation that can't be resolved."""

_UNRESOLVED = (NameError, AttributeError, SyntaxError, TypeError)


def resolved(handler: Callable[..., Any], name: str, annotation: Any) -> Any:
    """Return an annotation of a handler; if it is a string, evaluate it.

    Args:
        handler: the handler.
        name: the name of the parameter, or "return".
        annotation: the annotation in the handler's signature.

    Raises:
        NameError, AttributeError, SyntaxError, TypeError: it can't be resolved.
    """
    if not isinstance(annotation, str):
        return annotation
    # Only this annotation is evaluated: others may use names that are imported for type checkers only.
    wanted: Any = SimpleNamespace(__annotations__={name: annotation})
    return get_type_hints(wanted, *_names_around(handler), include_extras=True)[name]


def known(handler: Callable[..., Any], name: str, annotation: Any) -> Any:
    """Return an annotation like :func:`resolved`, or ``UNKNOWN`` if it can't be resolved, or Any if there is none."""
    if annotation is inspect.Parameter.empty:
        return Any
    try:
        return resolved(handler, name, annotation)
    except _UNRESOLVED:
        return UNKNOWN


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """Return the alternatives of an annotation: the members of a union, the values of a Literal, what an alias or a
    NewType stands for; ``Annotated`` is removed.
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
    """Return whether a value of one of these classes may fit an annotation; True where that is unknown."""
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


def _names_around(handler: Callable[..., Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the global and the local names with which a handler's annotations can be evaluated."""
    function: Any = inspect.unwrap(handler)
    while isinstance(function, partial):
        function = inspect.unwrap(function.func)
    owner = getattr(function, "__self__", None)
    if not inspect.isroutine(function):
        owner, function = function, inspect.unwrap(type(function).__call__)
    function = getattr(function, "__func__", function)
    found = getattr(function, "__globals__", {})
    enclosing = getattr(function, "__qualname__", "").split(".<locals>.")[:-1]
    functions = {name.rpartition(".")[2] for name in enclosing}
    return found, _names_of_class(owner, found) | _names_of_frames(functions, found) | _names_of_closure(function)


def _names_of_class(owner: object, found: dict[str, Any]) -> dict[str, Any]:
    """Return the names that the class of a method defines and ``found`` lacks: its annotations may use them."""
    bases = getattr(owner if isinstance(owner, type) else type(owner), "__mro__", ())
    return {name: value for base in reversed(bases) for name, value in vars(base).items() if name not in found}


def _names_of_frames(functions: set[str], found: dict[str, Any]) -> dict[str, Any]:
    """Return the local names where a handler is being registered, and of the functions around it that still run."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_globals.get("__name__", "").startswith("crosswire."):
        frame = frame.f_back
    names: dict[str, Any] = dict(frame.f_locals) if frame is not None else {}
    while frame is not None:
        if frame.f_globals is found and frame.f_code.co_name in functions:
            names = frame.f_locals | names
        frame = frame.f_back
    return names


def _names_of_closure(function: Any) -> dict[str, Any]:
    """Return the variables of enclosing functions that a function uses, if they have a value yet."""
    names = {}
    if isinstance(function, FunctionType):
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            with suppress(ValueError):  # the variable has no value yet
                names[name] = cell.cell_contents
    return names
