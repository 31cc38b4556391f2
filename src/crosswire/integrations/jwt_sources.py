"""Places where the token of a client may be."""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise
from typing import Any

from crosswire.core.options import require_strings
from crosswire.errors import ConfigError
from crosswire.server.handshake import Handshake

SOURCES = ("header", "subprotocol", "query", "message")
TOKEN_PARAMETER = "token"
"""Name of the token in a query, or in an object, unless the application has another."""
BEARER = "bearer"
"""Subprotocol that a browser's client offers right before its token, and scheme of a header field (RFC 6750)."""


class TokenSources:
    """Places where a token may be, in order.

    Args:
        sources: their names, of ``SOURCES``.
        parameter: name of the token in the query.

    Attributes:
        by_message: whether the token may come in the first message.

    Raises:
        ConfigError: there are none, or one of them is unknown.
    """

    def __init__(self, sources: Collection[str], parameter: str) -> None:
        names = require_strings("sources", sources)
        if not names or not set(names) <= set(SOURCES):
            raise ConfigError(f"JwtAuthentication(sources={sources!r}): choose from {', '.join(SOURCES)}")
        given: object = parameter
        if not isinstance(given, str) or not given:
            raise ConfigError(f"JwtAuthentication(parameter={parameter!r}): give the name of a parameter")
        self._parameter = parameter
        finders = {"header": _of_header, "subprotocol": _of_subprotocols, "query": self._of_query}
        self._finders = [finders[name] for name in names if name in finders]
        self.by_message = "message" in names

    def find(self, handshake: Handshake) -> str | None:
        """Return the token of a connection, or of its renewal, which comes as parameters; None if there is none."""
        if handshake.is_renewal:
            return self._of_query(handshake)
        for find in self._finders:
            if token := find(handshake):
                return token
        return None

    def _of_query(self, handshake: Handshake) -> str | None:
        return handshake.query.get(self._parameter)


def token_of_message(payload: Any, parameter: str) -> str | None:
    """Return the token in the payload of a first message; None if there is none."""
    token = payload.get(parameter) if isinstance(payload, dict) else payload
    return token if isinstance(token, str) else None


def _of_header(handshake: Handshake) -> str | None:
    scheme, _, token = str(handshake.headers.get("authorization", "")).partition(" ")
    return token.strip() if scheme.lower() == BEARER else None


def _of_subprotocols(handshake: Handshake) -> str | None:
    """Return the token behind the subprotocol ``bearer``; that one is agreed on if there is no other."""
    offered = handshake.subprotocols
    for name, token in pairwise(offered):
        if name == BEARER:
            if handshake.subprotocol is None:
                handshake.subprotocol = BEARER
            return token
    return None
