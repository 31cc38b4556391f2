"""The URL that a client connects to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode, urlsplit

from crosswire.core.utf8 import has_utf8, well_formed
from crosswire.errors import ConfigError

Value = str | int | float
_SCHEME_ADVICE = {"http": ": write ws:// instead", "https": ": write wss:// instead"}

Params = Mapping[str, Value | Sequence[Value]]
"""Query parameters; a sequence gives the same name several times. Numbers are written in decimal, bools as in JSON."""


def join_params(url: str, params: Params | None = None) -> str:
    """Add query parameters to a WebSocket URL; a query that it already has stays as it is.

    Args:
        url: a ``ws://`` or ``wss://`` URL without a fragment.
        params: strings and numbers, or sequences of them; they are percent-encoded. Half of a surrogate pair, which
            has no UTF-8 form, becomes U+FFFD.

    Raises:
        ConfigError: the URL or a parameter can't be used; the text says why.

    Example::

        join_params("ws://localhost:9000/?v=2", {"id": "13"})  # "ws://localhost:9000/?v=2&id=13"
    """
    _check(url)
    given: object = params
    if given is not None and not isinstance(given, Mapping):
        raise ConfigError(f"params must be a mapping, not {type(given).__name__}")
    query = urlencode([pair for name, value in (params or {}).items() for pair in _pairs(name, value)])
    if not query:
        return url
    head, mark, existing = url.partition("?")
    if not urlsplit(url).path:
        head += "/"
    if not mark:
        return f"{head}?{query}"
    return f"{head}?{existing}{'&' if existing and not existing.endswith('&') else ''}{query}"


def _check(url: object) -> None:
    if not isinstance(url, str):
        raise ConfigError(f"the url must be a string, not {type(url).__name__}")
    # urlsplit would silently drop some of these, and connect elsewhere than what was read.
    if any(ord(character) <= 0x20 or ord(character) == 0x7F for character in url):
        raise ConfigError("the url contains a space or a control character: percent-encode it")
    if not has_utf8(url):
        raise ConfigError("the url has no UTF-8 form: it contains half of a surrogate pair")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"the url can't be read: {error}") from error
    if parts.scheme not in ("ws", "wss"):
        given = f"{parts.scheme}://" if "://" in url else "no scheme"
        advice = _SCHEME_ADVICE.get(parts.scheme, "")
        raise ConfigError(f"the url must begin with ws:// or wss://, and has {given}{advice}")
    if port == 0:
        raise ConfigError("the url names port 0, where nothing listens")
    if not host:
        raise ConfigError("the url names no host: write ws://host:port/path")
    if "#" in url:
        raise ConfigError("the url has a fragment, which is never sent: drop '#' and what follows, or write %23")
    if parts.username is not None and parts.password is None:
        raise ConfigError("the url names a user without a password: write user:password@host")


def _pairs(name: object, value: object) -> list[tuple[str, str]]:
    if not isinstance(name, str) or not name:
        raise ConfigError(f"the name of a parameter must be a non-empty string, not {name!r}")
    values = [value] if isinstance(value, Value) else value
    if (
        isinstance(values, bytes)
        or not isinstance(values, Sequence)
        or not all(isinstance(each, Value) for each in values)
    ):
        raise ConfigError(f"params[{name!r}] must be a string, a number or a sequence of these: convert it yourself")
    return [(well_formed(name), well_formed(_written(each))) for each in values]


def _written(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
