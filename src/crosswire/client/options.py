"""Checks of a client's options, when it is made."""

from __future__ import annotations

import inspect
import ssl
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from crosswire.core.headers import FIELD_VALUE, TOKEN
from crosswire.core.options import require_seconds
from crosswire.core.utf8 import has_utf8
from crosswire.errors import ConfigError

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

_OWN_HEADERS = frozenset({"connection", "upgrade", "content-length", "transfer-encoding"})
"""Headers that the transport sets in the upgrade request itself."""


def require_interval(name: str, value: object) -> float | None:
    """Return ``value`` if it is None or a finite number of seconds above 0; else raise :exc:`ConfigError`."""
    return None if value is None else require_seconds(name, value)


def require_text(name: str, value: object) -> str:
    """Return ``value`` if it is a string that has a UTF-8 form; else raise :exc:`ConfigError`."""
    if not isinstance(value, str) or not has_utf8(value):
        raise ConfigError(f"{name}={value!r}: give a string that has a UTF-8 form")
    return value


def require_no_arguments(name: str, function: FunctionT) -> FunctionT:
    """Return a function if it can be called without arguments; else raise :exc:`ConfigError`."""
    return _require_taking(name, function, "without arguments")


def require_policy(policy: FunctionT) -> FunctionT:
    """Return a reconnect policy if it can be called with a Close; else raise :exc:`ConfigError`."""
    if not callable(policy):
        raise ConfigError(f"reconnect_policy={policy!r}: give a function that takes a Close and returns a bool")
    if inspect.iscoroutinefunction(policy) or inspect.iscoroutinefunction(getattr(policy, "__call__", None)):  # noqa: B004
        raise ConfigError(
            f"reconnect_policy={policy!r}: it is asked at once and can't be asynchronous: write a plain def"
        )
    return _require_taking("reconnect_policy", policy, "with a Close", None)


def _require_taking(name: str, function: FunctionT, how: str, *arguments: object) -> FunctionT:
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError as error:
        raise ConfigError(f"{name}={function!r}: the function is called {how}, but {error}") from error
    except ValueError:  # it has no signature, as some functions of C: its first call will tell
        pass
    return function


def require_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Return a copy of header fields that can be sent as they are.

    Raises:
        ConfigError: one would break the request, or is the transport's own.
    """
    given: object = headers
    if given is not None and not isinstance(given, Mapping):
        raise ConfigError(f"headers must be a mapping, not {type(given).__name__}")
    checked = dict(headers or {})
    fields: list[tuple[object, object]] = list(checked.items())
    for name, value in fields:
        if not isinstance(name, str) or not TOKEN.fullmatch(name):
            raise ConfigError(f"{name!r} can't be the name of a header")
        if name.lower() in _OWN_HEADERS or name.lower().startswith("sec-websocket-"):
            raise ConfigError(f"the header {name} is set by the client itself; subprotocols have their own option")
        # The value may be a secret: it is not shown.
        if not isinstance(value, str) or not FIELD_VALUE.fullmatch(value):
            raise ConfigError(f"the value of the header {name} must be a string without line breaks, in Latin-1")
    return checked


def require_subprotocols(subprotocols: Iterable[str]) -> tuple[str, ...]:
    """Return subprotocols as a tuple if each is a name that can be offered; else raise :exc:`ConfigError`."""
    if isinstance(subprotocols, str | bytes) or not isinstance(subprotocols, Iterable):
        raise ConfigError(f"subprotocols={subprotocols!r}: give a sequence of strings")
    checked = tuple(subprotocols)
    names: tuple[object, ...] = checked
    for name in names:
        if not isinstance(name, str) or not TOKEN.fullmatch(name):
            raise ConfigError(f"{name!r} can't be the name of a subprotocol (RFC 6455, section 4.1)")
        if names.count(name) > 1:
            raise ConfigError(f"the subprotocol {name!r} is there twice (RFC 6455, section 4.1)")
    return checked


def require_tls(tls: object, url: object) -> None:
    """Check that a TLS context can be used for a url.

    Raises:
        ConfigError: it is none, a server's, or the url does not use TLS.
    """
    if tls is None:
        return
    if not isinstance(tls, ssl.SSLContext):
        raise ConfigError(f"tls={tls!r}: give an ssl.SSLContext, or leave it out to trust the system's authorities")
    if tls.protocol == ssl.PROTOCOL_TLS_SERVER:
        raise ConfigError("tls: this is the context of a server; ssl.create_default_context() makes that of a client")
    if isinstance(url, str) and url.lower().startswith("ws://"):
        raise ConfigError("tls is for wss://, and the url begins with ws://: change one of them")
