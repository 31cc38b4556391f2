"""Checks the options of a server when it is made."""

from __future__ import annotations

import inspect
import re
import ssl
from collections.abc import Collection
from typing import get_args
from urllib.parse import unquote

from crosswire.core.headers import TOKEN
from crosswire.core.limits import Heartbeat, Limits
from crosswire.core.options import require_bool, require_kind, require_one_of, require_strings
from crosswire.core.origins import Origins
from crosswire.core.proxies import TrustedProxies
from crosswire.errors import ConfigError
from crosswire.server.duplicates import Duplicates
from crosswire.transport.interface import AsgiApplication
from crosswire.transport.tls_files import Tls

MIN_KEY_LENGTH = 6
"""Fewest characters of a key of the publish endpoint."""

_KEY = re.compile(r"[\x21-\x7e]+")
_KEY_EXAMPLE = "secrets.token_urlsafe() of Python makes a good one"
_TLS_EXAMPLE = "context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH); context.load_cert_chain(...)"


def require_options(
    *,
    limits: object,
    heartbeat: object,
    duplicates: object,
    compression: object,
    proxy_protocol: object,
    metrics: object = False,
) -> None:
    """Check the options that need no conversion.

    Raises:
        ConfigError: one of them can't be used.
    """
    require_kind("limits", limits, Limits, "give Limits(max_message=..., ...)")
    require_kind("heartbeat", heartbeat, Heartbeat, "give Heartbeat(interval=..., ...)")
    require_one_of("duplicates", duplicates, get_args(Duplicates))
    require_bool("compression", compression)
    require_bool("proxy_protocol", proxy_protocol)
    require_bool("metrics", metrics)


def require_tls(tls: object) -> ssl.SSLContext | Tls | None:
    """Return the files or the TLS context of a server; of a tuple, the files that it names.

    Raises:
        ConfigError: it is neither, or the context of a client.
    """
    if tls is None or isinstance(tls, Tls):
        return tls
    if isinstance(tls, tuple) and len(tls) == 2:
        try:
            return Tls(*tls)
        except ConfigError as error:
            raise ConfigError(f"{error}; give the paths of two files, or an ssl.SSLContext") from error
    if not isinstance(tls, ssl.SSLContext):
        advice = f"give Tls('fullchain.pem', 'privkey.pem'), or an ssl.SSLContext with your certificate: {_TLS_EXAMPLE}"
        require_kind("tls", tls, ssl.SSLContext, advice)
        return None
    if tls.protocol == ssl.PROTOCOL_TLS_CLIENT:
        raise ConfigError(f"tls: this is the context of a client. That of a server: {_TLS_EXAMPLE}")
    return tls


def require_origins(origins: object) -> Origins | None:
    """Return the origins that may connect, or None if all may.

    Raises:
        ConfigError: one of them can never match, or the list is empty.
    """
    if origins is None:
        return None
    strings = require_strings("origins", origins)
    if not strings:
        raise ConfigError("origins: an empty list lets no browser in: name the origins, or leave it out for any")
    return Origins(strings)


def require_proxies(trusted: object, *, proxy_protocol: bool) -> TrustedProxies | None:
    """Return the proxies that are trusted about clients, or None if there are none.

    Raises:
        ConfigError: they are not addresses, or ``proxy_protocol`` is set and there are none.
    """
    strings = require_strings("trusted_proxies", trusted)
    if proxy_protocol and not strings:
        raise ConfigError(
            "proxy_protocol=True: name the proxies, whose word about their clients is taken, in trusted_proxies"
        )
    return TrustedProxies(strings) if strings else None


def require_application(app: AsgiApplication) -> AsgiApplication:
    """Return an ASGI application.

    Raises:
        ConfigError: it is none.
    """
    given: object = app
    if isinstance(given, str):
        raise ConfigError(f"app={given!r}: give the application itself; `crosswire serve --app {given}` takes its name")
    advice = "give an ASGI application, such as FastAPI(); it is called with scope, receive and send"
    if not callable(given) or isinstance(given, type):
        raise ConfigError(f"app={given!r}: {advice}")
    try:
        inspect.signature(given).bind(None, None, None)
    except TypeError:
        raise ConfigError(f"app={given!r} is of WSGI, or no application: {advice}") from None
    except ValueError:  # it has no signature, as it is not written in Python
        return app
    return app


def require_paths(path: object) -> Collection[str] | None:
    """Return the paths where WebSockets are taken, or None for everywhere.

    Raises:
        ConfigError: one of them can never match, or there are none.
    """
    if path is None:
        return None
    paths = (path,) if isinstance(path, str) else require_strings("path", path)
    if not paths:
        raise ConfigError("path: an empty list lets nobody in: name the paths, or leave it out for every path")
    for each in paths:
        if not each.startswith("/") or "?" in each or "#" in each or unquote(each) != each:
            raise ConfigError(f"path={each!r} can never match: give '/ws', percent-decoded and without a query")
    return frozenset(paths)


def require_subprotocols(subprotocols: object) -> Collection[str]:
    """Return the names of the application's subprotocols.

    Raises:
        ConfigError: one of them can't be a name of a subprotocol.
    """
    strings = require_strings("subprotocols", subprotocols)
    for each in strings:
        if not TOKEN.fullmatch(each):
            raise ConfigError(f"subprotocols: {each!r} can't be the name of one (RFC 6455, section 4.1)")
    return strings


def require_publish_keys(keys: object) -> tuple[str, ...]:
    """Return the keys of the publish endpoint, given as one string or several; none if it is closed.

    Raises:
        ConfigError: one of them is too short, or can't be sent in a header field.
    """
    if keys is None:
        return ()
    strings = (keys,) if isinstance(keys, str) else require_strings("publish_key", keys)
    if not strings:
        raise ConfigError(f"publish_key: an empty list lets nobody in: {_KEY_EXAMPLE}, or leave it out")
    for number, each in enumerate(strings, 1):
        which = "publish_key" if len(strings) == 1 else f"publish_key: number {number}"
        if len(each) < MIN_KEY_LENGTH:
            raise ConfigError(
                f"{which} has fewer than {MIN_KEY_LENGTH} characters, and could be guessed: {_KEY_EXAMPLE}"
            )
        if not _KEY.fullmatch(each):
            raise ConfigError(f"{which} has a space or a character beyond ASCII: {_KEY_EXAMPLE}")
    return strings
