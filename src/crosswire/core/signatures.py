"""Inspection of handlers where they are registered: one that can't be right is refused, with advice."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from inspect import Parameter, Signature
from typing import Any, NamedTuple

from crosswire.core.annotations import UNKNOWN, known, may_be, resolved
from crosswire.errors import ConfigError, UsageError

_FIRST_ARGUMENTS = {
    "socket": {"handshake"},
    "sender": {"socket", "handshake"},
    "handshake": {"socket", "sender"},
    "request": {"socket", "sender"},
}
"""For each possible first argument, names of parameters that mean another one."""

_LATER_ARGUMENTS = {"data", "payload", "message", "msg", "body", "raw", "close", "exc", "error", "exception"}
"""Usual names of parameters that are not the first."""


class Arguments:
    """Arguments that handlers of an event or hook are called with; a handler may take fewer of them.

    Args:
        data: whether the data of an event comes last; the handler's annotation says what it must be.
        kinds: the other arguments, in order: name, and class or classes.
    """

    __slots__ = ("data", "kinds")

    def __init__(self, *, data: bool = False, **kinds: type | tuple[type, ...]) -> None:
        self.data = data
        self.kinds = {name: kind if isinstance(kind, tuple) else (kind,) for name, kind in kinds.items()}

    def __len__(self) -> int:
        return len(self.kinds) + self.data

    def __str__(self) -> str:
        return f"({', '.join(self.names)})"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the arguments, in order."""
        return (*self.kinds, "data") if self.data else tuple(self.kinds)


NO_ARGUMENTS = Arguments()


class HandlerInfo(NamedTuple):
    """Parameters and return value of a handler.

    Attributes:
        arity: number of arguments to call it with.
        data: annotation of the data; Any if it has none, or takes no data.
        returns: annotation of what it returns, or Any if that can't be resolved. Also Any for a decorated function,
            which may return something else than the function it wraps.
    """

    arity: int
    data: Any
    returns: Any


def inspect_handler(handler: Callable[..., Any], arguments: Arguments, what: str) -> HandlerInfo:
    """Find out how a handler is to be called.

    Args:
        handler: function or method of the application.
        arguments: the arguments that the event or the hook offers.
        what: what it handles, for the error: "the event 'say'".

    Raises:
        UsageError: it can't be called.
        ConfigError: it takes more or other arguments, is no plain or asynchronous function, or the annotation of its
            data can't be resolved.
    """
    _require_function(handler, what)
    try:
        signature = inspect.signature(handler)
    except (TypeError, ValueError) as error:
        if inspect.isbuiltin(handler):  # it has no signature: {}.update
            return HandlerInfo(len(arguments), Any, Any)
        raise ConfigError(f"{name_of(handler)} can't be a handler: {error}") from error
    if not hasattr(handler, "__wrapped__"):
        return _inspect(handler, signature, arguments, what)
    return _inspect_decorated(handler, signature, arguments, what)._replace(returns=Any)


def _inspect_decorated(handler: Callable[..., Any], wrapped: Signature, arguments: Arguments, what: str) -> HandlerInfo:
    """Inspect the result of ``functools.wraps``, which may take other arguments than the function it wraps.

    Args:
        handler: the outer function.
        wrapped: the signature of the inner.
    """
    try:
        own = inspect.signature(handler, follow_wrapped=False)
    except (TypeError, ValueError):  # in C, like functools.lru_cache: it passes all arguments on
        return _inspect(handler, wrapped, arguments, what)
    if any(p.kind is p.VAR_POSITIONAL for p in own.parameters.values()):
        return _inspect_injected(handler, wrapped, arguments, what)
    if len(_positional(own)) == len(_positional(wrapped)):
        with suppress(ConfigError):
            return _inspect(handler, wrapped, arguments, what)
    return _inspect(handler, own, arguments, what)


def _inspect_injected(handler: Callable[..., Any], wrapped: Signature, arguments: Arguments, what: str) -> HandlerInfo:
    """Inspect a decorator that takes ``*args``: it may add arguments, if the wrapped function has too many."""
    parameters = [p for p in wrapped.parameters.values() if not (p.kind is p.KEYWORD_ONLY and p.default is p.empty)]
    required = [p for p in _positional(wrapped) if p.default is p.empty]
    if len(required) <= len(arguments) or required[0].name in ("self", "cls"):
        return _inspect(handler, wrapped.replace(parameters=parameters), arguments, what)
    named = [p for p in required if arguments.data and p.name == "data"]
    return HandlerInfo(len(arguments), _data_annotation(handler, named[0]) if named else Any, Any)


def _positional(signature: Signature) -> list[Parameter]:
    kinds = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    return [p for p in signature.parameters.values() if p.kind in kinds]


def _inspect(handler: Callable[..., Any], signature: Signature, arguments: Arguments, what: str) -> HandlerInfo:
    """Inspect a handler by its signature.

    Raises:
        ConfigError: it can't be right.
    """
    parameters = list(signature.parameters.values())
    errors = _HandlerErrors(handler, parameters, arguments, what)
    positional = _positional(signature)
    if positional and positional[0].name in ("self", "cls"):
        raise errors.unbound_method(positional[0].name)
    _require_arity(parameters, arguments, errors)
    taken = _count_taken(handler, positional, arguments, errors)
    if taken == len(positional) and any(p.kind is p.VAR_POSITIONAL for p in parameters):
        taken = len(arguments)
    takes_data = arguments.data and taken == len(arguments) <= len(positional)
    data = _data_annotation(handler, positional[taken - 1]) if takes_data else Any
    returns = known(handler, "return", signature.return_annotation)
    return HandlerInfo(taken, data, Any if returns is UNKNOWN else returns)


def is_async(handler: Callable[..., Any]) -> bool:
    """Return whether a handler is asynchronous, as far as that is known; for an object, its ``__call__`` counts."""
    return any(inspect.iscoroutinefunction(function) for function in _functions(handler))


def name_of(handler: Any) -> str:
    """Return the name of a handler for errors."""
    while isinstance(handler, partial):
        handler = handler.func
    return getattr(handler, "__qualname__", type(handler).__qualname__)


def _functions(handler: Any) -> tuple[Any, ...]:
    """Return the functions of which one runs when a handler is called."""
    if isinstance(handler, staticmethod):
        return (handler.__func__,)
    return (handler, type(handler).__call__)


def _require_function(handler: Any, what: str) -> None:
    """Refuse handlers that are no functions, or that are generators."""
    if inspect.iscoroutine(handler) or inspect.isasyncgen(handler) or inspect.isgenerator(handler):
        raise ConfigError(f"{handler!r} can't handle {what}: give the function itself, without calling it")
    if isinstance(handler, classmethod):
        raise ConfigError(
            f"{name_of(handler)} can't handle {what}: register it from outside, when the class is defined"
        )
    if not callable(handler):
        raise UsageError(f"a handler must be callable, not {type(handler).__name__} ({handler!r})")
    if isinstance(handler, type):
        raise ConfigError(f"the class {name_of(handler)} can't handle {what}: give a function, or one of its methods")
    if any(inspect.isgeneratorfunction(each) or inspect.isasyncgenfunction(each) for each in _functions(handler)):
        raise ConfigError(f"{name_of(handler)} can't handle {what}: it has a yield; a handler returns its answer")


def _require_arity(parameters: list[Parameter], arguments: Arguments, errors: _HandlerErrors) -> None:
    required = [p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if any(p.kind is p.KEYWORD_ONLY for p in required):
        names = ", ".join(p.name for p in required if p.kind is p.KEYWORD_ONLY)
        raise errors.mismatch(f"needs {_counted(required)}, {names} by keyword")
    if len(required) > len(arguments):
        raise errors.mismatch(f"needs {_counted(required)}")


def _counted(parameters: list[Parameter]) -> str:
    return f"{len(parameters)} argument{'' if len(parameters) == 1 else 's'}"


def _count_taken(
    handler: Callable[..., Any], positional: list[Parameter], arguments: Arguments, errors: _HandlerErrors
) -> int:
    taken = 0
    for name, parameter in zip(arguments.names, positional, strict=False):
        if not _takes(handler, name, parameter, arguments, errors):
            break
        taken += 1
    return taken


def _takes(
    handler: Callable[..., Any], name: str, parameter: Parameter, arguments: Arguments, errors: _HandlerErrors
) -> bool:
    """Return whether a parameter takes the argument; else it has a default for something else, and keeps it.

    Raises:
        ConfigError: the parameter was meant for something else than the argument it would get.
    """
    annotation = known(handler, parameter.name, parameter.annotation)
    says_nothing = annotation is Any or annotation is UNKNOWN
    if says_nothing:
        misfit = _is_named_for_another(name, parameter.name, arguments)
    elif name in arguments.kinds:
        misfit = not may_be(annotation, arguments.kinds[name])
    else:  # the data, which may be anything that can be decoded
        misfit = annotation is not str and any(annotation in kinds for kinds in arguments.kinds.values())
    is_bound = parameter.default is not parameter.empty and parameter.name not in {name, *_LATER_ARGUMENTS}
    if is_bound and (misfit or (says_nothing and name in arguments.kinds and parameter.default is not None)):
        return False  # as in `for name in names: hook(lambda name=name: ...)`
    if misfit:
        raise errors.mismatch(f"would get the {name} as {_declared(parameter)!r}")
    if is_bound and says_nothing and parameter.default is not None:
        raise errors.mismatch(
            f"would get the {name} as {parameter.name!r}, whose default may be meant for something else"
        )
    return True


def _is_named_for_another(argument: str, parameter: str, arguments: Arguments) -> bool:
    """Return whether a parameter, by its name, was meant for another argument."""
    if parameter == argument:
        return False
    if argument in _FIRST_ARGUMENTS:
        return parameter in _LATER_ARGUMENTS or parameter in _FIRST_ARGUMENTS[argument]
    return parameter in _FIRST_ARGUMENTS and parameter in arguments.kinds


class _HandlerErrors:
    """Factory of errors that say what is wrong with a handler, and what to write instead."""

    def __init__(
        self, handler: Callable[..., Any], parameters: list[Parameter], arguments: Arguments, what: str
    ) -> None:
        self._name = name_of(handler)
        self._parameters = parameters
        self._arguments = arguments
        self._what = what

    def mismatch(self, fault: str) -> ConfigError:
        """Return the error; its text is the handler's name, ``fault``, and advice."""
        if not len(self._arguments):
            return ConfigError(f"{self._name} {fault}; a handler of {self._what} is called with no arguments")
        fewer = "or with fewer of them" if len(self._arguments) > 1 else "or with nothing"
        return ConfigError(
            f"{self._name} {fault}; a handler of {self._what} is called with {self._arguments}, {fewer}: "
            f"write {self._remedy()}"
        )

    def unbound_method(self, name: str) -> ConfigError:
        """Return the error for a method that is bound to no object."""
        return ConfigError(
            f"{self._name} can't handle {self._what}: as a method without an object, it would get the first "
            f"argument as {name!r}; register the method of an object, for example in __init__: "
            f"self.{self._name.rpartition('.')[2]}"
        )

    def _remedy(self) -> str:
        """Return the handler as it should be written: with the right names, and its own annotation of the data."""
        taken = {p.name: _declared(p) for p in self._parameters}
        spare = [p for p in self._parameters if p.name in _LATER_ARGUMENTS and p.annotation is not p.empty]
        names = [taken.get(name, name) if name == "data" else name for name in self._arguments.names]
        if self._arguments.data and "data" not in taken and spare:
            names[-1] = _declared(spare[0])
        if self._name.endswith("<lambda>"):
            return f"lambda {', '.join(self._arguments.names)}: ..."
        return f"def {self._name.rpartition('.')[2]}({', '.join(names)})"


def _declared(parameter: Parameter) -> str:
    """Return a parameter as it was written, without its default."""
    if isinstance(parameter.annotation, str):
        return f"{parameter.name}: {parameter.annotation}"
    return str(parameter.replace(default=parameter.empty, kind=parameter.POSITIONAL_OR_KEYWORD))


def _data_annotation(handler: Callable[..., Any], parameter: Parameter) -> Any:
    if parameter.annotation is parameter.empty:
        return Any
    try:
        return resolved(handler, parameter.name, parameter.annotation)
    except (NameError, AttributeError, SyntaxError, TypeError) as error:
        raise ConfigError(
            f"the annotation {parameter.annotation!r} of {name_of(handler)} can't be resolved ({error}): "
            "define the type at the top of its module, or where the handler is registered"
        ) from error
