"""The HTTP request that a connection began with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote, unquote_plus, urlencode

import msgspec

from crosswire.core.headers import Headers
from crosswire.core.messages import POSITIONS_PARAMETER, RENEWAL_PARAMETER, VERSION_PARAMETER
from crosswire.errors import UsageError

MAX_VERSION_DIGITS = 9
"""Digits of the number after ``_cw=`` that are read; a longer one is ignored."""


def path_of(target: str) -> str:
    """Return the path in the target of a request, percent-decoded, without the query."""
    return unquote(target.partition("?")[0])


Parameter = str | int | float | bool | Sequence[str | int | float | bool]
"""Value of a parameter as a client has it before it is in a URL."""

_OWN_PARAMETERS = (VERSION_PARAMETER, RENEWAL_PARAMETER, POSITIONS_PARAMETER)
"""Names of the parameters that belong to the protocol."""
_CREDENTIALS = frozenset({"authorization", "sec-websocket-protocol"})
"""Fields that may have the token with which a connection began."""


class Handshake(msgspec.Struct, gc=False, eq=False):  # nothing in it refers to anything that could refer to it
    """The HTTP request of a connection. ``authenticate`` gets it, and ``socket.handshake`` keeps it.

    Attributes:
        headers: the header fields, by case-insensitive name.
        remote: the client's IP address; empty on a Unix socket. Behind a proxy it is the proxy's, unless that is one of
            ``Server(trusted_proxies=...)``: then the address it gives, which may also be ``unknown`` or ``_hidden``.
        scheme: ``https`` if the client uses TLS, else ``http``, according to the socket or a trusted proxy.
        peer_certificate: the client's certificate as ``ssl.SSLSocket.getpeercert`` returns it, verified by this
            server's ``Tls(client_ca=...)``; else None, as behind a proxy that ends TLS, and over ASGI.
        is_renewal: whether the client was asked for a new token. Then the query has it, and the fields that may have
            had the old one are left out of the headers.
    """

    _target: str
    headers: Headers
    remote: str
    _subprotocol: str | None = None
    scheme: str = "http"
    peer_certificate: Mapping[str, Any] | None = None
    _agreed: bool = False
    is_renewal: bool = False

    @property
    def peer_name(self) -> str | None:
        """Common name of the subject of the client's certificate; None without one."""
        subject = (self.peer_certificate or {}).get("subject", ())
        return next((value for names in subject for name, value in names if name == "commonName"), None)

    @property
    def subprotocols(self) -> tuple[str, ...]:
        """WebSocket subprotocols that the client offers, in order of preference."""
        values = self.headers.get_all("sec-websocket-protocol")
        return tuple([name for value in values for part in value.split(",") if (name := part.strip())])

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that was agreed on, or None. A synchronous ``authenticate`` may choose another offered one.

        Raises:
            UsageError: it is set to one that the client does not offer, or after the upgrade, when the client knows it.
        """
        return self._subprotocol

    @subprotocol.setter
    def subprotocol(self, name: str | None) -> None:
        if self._agreed:
            raise UsageError("the subprotocol is agreed on with the upgrade: choose it in a synchronous authenticate")
        if name is not None and name not in self.subprotocols:
            raise UsageError(f"the client does not offer the subprotocol {name!r}: choose from handshake.subprotocols")
        self._subprotocol = name

    def agree(self) -> str | None:
        """Return the subprotocol to be sent to the client; it can't be set afterwards."""
        self._agreed = True
        return self._subprotocol

    @property
    def path(self) -> str:
        """Path of the request, percent-decoded, without the query."""
        return path_of(self._target)

    @property
    def query(self) -> dict[str, str]:
        """Parameters of the query, with the last value of each (see :attr:`query_all`)."""
        query = dict(_parameters(self._target))
        for name in _OWN_PARAMETERS:
            query.pop(name, None)
        return query

    @property
    def query_all(self) -> dict[str, list[str]]:
        """Parameters of the query, with all values of each; without those that belong to the protocol."""
        query: dict[str, list[str]] = {}
        for name, value in _parameters(self._target):
            if name not in _OWN_PARAMETERS:
                query.setdefault(name, []).append(value)
        return query

    @property
    def understands(self) -> int:
        """Level of the protocol that the client announces (``_cw`` in its URL); 0 for the original's alone."""
        if VERSION_PARAMETER not in self._target:  # the usual case; parsing takes much longer
            return 0
        value = dict(_parameters(self._target)).get(VERSION_PARAMETER, "")
        return int(value) if value.isascii() and value.isdigit() and len(value) <= MAX_VERSION_DIGITS else 0

    @property
    def can_renew(self) -> bool:
        """Whether the client says that it can be asked for a new token."""
        return RENEWAL_PARAMETER in self._target and dict(_parameters(self._target)).get(RENEWAL_PARAMETER) == "1"

    def take_positions(self) -> str:
        """Return the value of ``_cw_at``, for the server's own use; it is forgotten here."""
        if POSITIONS_PARAMETER not in self._target:
            return ""
        self._target, positions = _without_positions(self._target)
        return positions

    def renewed(self, parameters: Mapping[str, Parameter]) -> Handshake:
        """Return the request as it would be with other parameters in its query, which a client sent in a message."""
        values = {name: _texts(value) for name, value in parameters.items()}
        target = f"{quote(self.path)}?{urlencode({**self.query_all, **values}, doseq=True)}"
        headers = Headers((name, value) for name, value in self._fields() if name not in _CREDENTIALS)
        handshake = Handshake(target, headers, self.remote, self._subprotocol, self.scheme, self.peer_certificate)
        handshake._agreed = handshake.is_renewal = True
        return handshake

    def _fields(self) -> list[tuple[str, str]]:
        return [(name, value) for name in self.headers for value in self.headers.get_all(name)]

    def __repr__(self) -> str:
        return f"<Handshake {self.path} from {self.remote or 'a Unix socket'}>"  # no query: it may hold a token

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Return what Rich shows, as in a traceback with variables: no query either, which that of structs has."""
        return [("path", self.path), ("remote", self.remote)]


def _parameters(target: str) -> list[tuple[str, str]]:
    """Return the parameters in the target of a request, as ``urllib.parse.parse_qsl`` does with blank ones.

    That takes five times as long.
    """
    query = target.partition("?")[2]
    is_plain = "%" not in query and "+" not in query
    found = []
    for part in query.split("&"):
        if part:
            name, _, value = part.partition("=")
            found.append((name, value) if is_plain else (unquote_plus(name), unquote_plus(value)))
    return found


def _without_positions(target: str) -> tuple[str, str]:
    """Take the positions out of the target of a request: they may be long, and are needed for a while only."""
    path, _, query = target.partition("?")
    start, kept, positions = f"{POSITIONS_PARAMETER}=", [], ""
    for parameter in query.split("&"):
        if parameter.startswith(start):
            positions = parameter[len(start) :]
        else:
            kept.append(parameter)
    return (f"{path}?{'&'.join(kept)}" if kept else path), positions


def _texts(value: Parameter) -> list[str]:
    """Return the values of a parameter as a client writes them in a URL."""
    values = [value] if isinstance(value, str | int | float) else value
    return [str(each).lower() if isinstance(each, bool) else str(each) for each in values]
