"""What a handler takes, checked where it is registered: one that can't be right is refused in a sentence."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from inspect import Parameter, Signature
from typing import Any, NamedTuple

from crosswire.core.annotations import UNKNOWN, known, may_be, resolved
from crosswire.errors import ConfigError, UsageError

_SUBJECTS = {
    "socket": {"handshake"},
    "sender": {"socket", "handshake"},
    "handshake": {"socket", "sender"},
    "request": {"socket", "sender"},
}
"""What a first argument can be, and the names of what it is then not."""

_OTHERS = {"data", "payload", "message", "msg", "body", "raw", "close", "exc", "error", "exception"}
"""Names of what comes behind the first argument, or not at all."""


class Offer:
    """What a handler is called with; it may take fewer of them.

    Args:
        data: whether the data of an event comes last; the handler's annotation says what it must be.
        kinds: the other arguments, in order: the name of each, and the class or classes it is of.
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
        """What the arguments are called, in order."""
        return (*self.kinds, "data") if self.data else tuple(self.kinds)


NOTHING = Offer()


class Taken(NamedTuple):
    """What a handler takes, and gives.

    Attributes:
        arity: how many of the arguments it is called with.
        data: the annotation of the data; Any where it has none, or takes none.
        returns: the annotation of what it returns, as far as it can be resolved, else Any; so for a decorated function,
            which may return something else than what it wraps.
    """

    arity: int
    data: Any
    returns: Any


def examine(handler: Callable[..., Any], offer: Offer, what: str) -> Taken:
    """Find out how a handler is to be called.

    Args:
        handler: what the application gave.
        offer: what it is called with.
        what: it handles, for the error: "the event 'say'".

    Raises:
        UsageError: it can't be called.
        ConfigError: it can't be right: it takes more or other arguments, is no plain or asynchronous function, or its
            data's annotation can't be resolved.
    """
    _require_function(handler, what)
    try:
        signature = inspect.signature(handler)
    except (TypeError, ValueError) as error:
        if inspect.isbuiltin(handler):  # it does not tell: {}.update
            return Taken(len(offer), Any, Any)
        raise ConfigError(f"{name_of(handler)} can't be a handler: {error}") from error
    if not hasattr(handler, "__wrapped__"):
        return _judge(handler, signature, offer, what)
    return _judge_decorated(handler, signature, offer, what)._replace(returns=Any)


def _judge_decorated(handler: Callable[..., Any], wrapped: Signature, offer: Offer, what: str) -> Taken:
    """Find out how to call what ``functools.wraps`` made, which may take other arguments than what it wraps.

    Args:
        handler: the outer function.
        wrapped: the signature of the inner.
    """
    try:
        own = inspect.signature(handler, follow_wrapped=False)
    except (TypeError, ValueError):  # in C, as functools.lru_cache: it hands everything on
        return _judge(handler, wrapped, offer, what)
    if any(p.kind is p.VAR_POSITIONAL for p in own.parameters.values()):
        return _judge_injected(handler, wrapped, offer, what)
    if len(_positional(own)) == len(_positional(wrapped)):
        with suppress(ConfigError):
            return _judge(handler, wrapped, offer, what)
    return _judge(handler, own, offer, what)


def _judge_injected(handler: Callable[..., Any], wrapped: Signature, offer: Offer, what: str) -> Taken:
    """As :func:`_judge`, for what takes ``*args``: arguments that are too many come from the decorator."""
    parameters = [p for p in wrapped.parameters.values() if not (p.kind is p.KEYWORD_ONLY and p.default is p.empty)]
    required = [p for p in _positional(wrapped) if p.default is p.empty]
    if len(required) <= len(offer) or required[0].name in ("self", "cls"):
        return _judge(handler, wrapped.replace(parameters=parameters), offer, what)
    named = [p for p in required if offer.data and p.name == "data"]
    return Taken(len(offer), _data_annotation(handler, named[0]) if named else Any, Any)


def _positional(signature: Signature) -> list[Parameter]:
    kinds = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    return [p for p in signature.parameters.values() if p.kind in kinds]


def _judge(handler: Callable[..., Any], signature: Signature, offer: Offer, what: str) -> Taken:
    """Find out how to call what has a signature.

    Raises:
        ConfigError: it can't be right.
    """
    parameters = list(signature.parameters.values())
    complaint = _Complaint(handler, parameters, offer, what)
    positional = _positional(signature)
    if positional and positional[0].name in ("self", "cls"):
        raise complaint.method(positional[0].name)
    _require_arity(parameters, offer, complaint)
    taken = _count_taken(handler, positional, offer, complaint)
    if taken == len(positional) and any(p.kind is p.VAR_POSITIONAL for p in parameters):
        taken = len(offer)
    takes_data = offer.data and taken == len(offer) <= len(positional)
    data = _data_annotation(handler, positional[taken - 1]) if takes_data else Any
    returns = known(handler, "return", signature.return_annotation)
    return Taken(taken, data, Any if returns is UNKNOWN else returns)


def is_async(handler: Callable[..., Any]) -> bool:
    """Whether calling a handler gives an awaitable, as far as it can be seen; an object's ``__call__`` counts."""
    return any(inspect.iscoroutinefunction(function) for function in _functions(handler))


def name_of(handler: Any) -> str:
    """What to call a handler in a text for its author."""
    while isinstance(handler, partial):
        handler = handler.func
    return getattr(handler, "__qualname__", type(handler).__qualname__)


def _functions(handler: Any) -> tuple[Any, ...]:
    """What may be the function that runs when a handler is called."""
    if isinstance(handler, staticmethod):
        return (handler.__func__,)
    return (handler, type(handler).__call__)


def _require_function(handler: Any, what: str) -> None:
    """Refuse what is no function that answers by returning."""
    if inspect.iscoroutine(handler) or inspect.isasyncgen(handler) or inspect.isgenerator(handler):
        raise ConfigError(f"{handler!r} can't handle {what}: give the function itself, without calling it")
    if isinstance(handler, classmethod):
        raise ConfigError(f"{name_of(handler)} can't handle {what}: register it once its class is made, from there")
    if not callable(handler):
        raise UsageError(f"a handler must be callable, not {type(handler).__name__} ({handler!r})")
    if isinstance(handler, type):
        raise ConfigError(f"the class {name_of(handler)} can't handle {what}: give a function, or one of its methods")
    if any(inspect.isgeneratorfunction(each) or inspect.isasyncgenfunction(each) for each in _functions(handler)):
        raise ConfigError(f"{name_of(handler)} can't handle {what}: it has a yield; a handler answers with return")


def _require_arity(parameters: list[Parameter], offer: Offer, complaint: _Complaint) -> None:
    required = [p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if any(p.kind is p.KEYWORD_ONLY for p in required):
        names = ", ".join(p.name for p in required if p.kind is p.KEYWORD_ONLY)
        raise complaint(f"needs {_counted(required)}, {names} by keyword")
    if len(required) > len(offer):
        raise complaint(f"needs {_counted(required)}")


def _counted(parameters: list[Parameter]) -> str:
    return f"{len(parameters)} argument{'' if len(parameters) == 1 else 's'}"


def _count_taken(handler: Callable[..., Any], positional: list[Parameter], offer: Offer, complaint: _Complaint) -> int:
    taken = 0
    for name, parameter in zip(offer.names, positional, strict=False):
        if not _takes(handler, name, parameter, offer, complaint):
            break
        taken += 1
    return taken


def _takes(handler: Callable[..., Any], name: str, parameter: Parameter, offer: Offer, complaint: _Complaint) -> bool:
    """Tell whether a parameter takes the argument, or has a default for something else and keeps it.

    Raises:
        ConfigError: it was meant for something else than the argument it would get.
    """
    annotation = known(handler, parameter.name, parameter.annotation)
    says_nothing = annotation is Any or annotation is UNKNOWN
    if says_nothing:
        misfit = _is_named_for_another(name, parameter.name, offer)
    elif name in offer.kinds:
        misfit = not may_be(annotation, offer.kinds[name])
    else:  # the data, which may be anything that can be decoded
        misfit = annotation is not str and any(annotation in kinds for kinds in offer.kinds.values())
    is_bound = parameter.default is not parameter.empty and parameter.name not in {name, *_OTHERS}
    if is_bound and (misfit or (says_nothing and name in offer.kinds and parameter.default is not None)):
        return False  # as in `for name in names: hook(lambda name=name: ...)`
    if misfit:
        raise complaint(f"would get the {name} as {_declared(parameter)!r}")
    if is_bound and says_nothing and parameter.default is not None:
        raise complaint(f"would get the {name} as {parameter.name!r}, whose default may be there for something else")
    return True


def _is_named_for_another(argument: str, parameter: str, offer: Offer) -> bool:
    """Whether a parameter, going by its name, was meant for something else than an argument of that name."""
    if parameter == argument:
        return False
    if argument in _SUBJECTS:
        return parameter in _OTHERS or parameter in _SUBJECTS[argument]
    return parameter in _SUBJECTS and parameter in offer.kinds


class _Complaint:
    """Says what is wrong with a handler, and what to write instead."""

    def __init__(self, handler: Callable[..., Any], parameters: list[Parameter], offer: Offer, what: str) -> None:
        self._name = name_of(handler)
        self._parameters = parameters
        self._offer = offer
        self._what = what

    def __call__(self, fault: str) -> ConfigError:
        """Make the error; ``fault`` goes on from the handler's name."""
        if not len(self._offer):
            return ConfigError(f"{self._name} {fault}; a handler of {self._what} is called with no arguments")
        fewer = "or with fewer of them" if len(self._offer) > 1 else "or with nothing"
        return ConfigError(
            f"{self._name} {fault}; a handler of {self._what} is called with {self._offer}, {fewer}: "
            f"write {self._remedy()}"
        )

    def method(self, name: str) -> ConfigError:
        """Make the error for a function of a class that is bound to nothing."""
        return ConfigError(
            f"{self._name} can't handle {self._what}: as a method of no object yet, it would get the first "
            f"argument as {name!r}; register it where there is an object, such as in __init__: "
            f"self.{self._name.rpartition('.')[2]}"
        )

    def _remedy(self) -> str:
        """The handler as it is meant: with the arguments' own names, and its annotation of the data."""
        taken = {p.name: _declared(p) for p in self._parameters}
        spare = [p for p in self._parameters if p.name in _OTHERS and p.annotation is not p.empty]
        names = [taken.get(name, name) if name == "data" else name for name in self._offer.names]
        if self._offer.data and "data" not in taken and spare:
            names[-1] = _declared(spare[0])
        if self._name.endswith("<lambda>"):
            return f"lambda {', '.join(self._offer.names)}: ..."
        return f"def {self._name.rpartition('.')[2]}({', '.join(names)})"


def _declared(parameter: Parameter) -> str:
    """A parameter as it was written, without its default."""
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
