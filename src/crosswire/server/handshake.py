"""The HTTP request that a connection began with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote, unquote_plus, urlencode

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

_CREDENTIALS = frozenset({"authorization", "sec-websocket-protocol"})
"""Fields that may have the token with which a connection began."""


class Handshake:
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

    __slots__ = (
        "_agreed",
        "_positions",
        "_subprotocol",
        "_target",
        "headers",
        "is_renewal",
        "peer_certificate",
        "remote",
        "scheme",
    )

    def __init__(
        self,
        target: str,
        headers: Headers,
        remote: str,
        subprotocol: str | None = None,
        scheme: str = "http",
        peer_certificate: Mapping[str, Any] | None = None,
    ) -> None:
        self.peer_certificate = peer_certificate
        self._positions = ""
        if POSITIONS_PARAMETER in target:
            target, self._positions = _without_positions(target)
        self._target = target
        self.headers = headers
        self.remote = remote
        self.scheme = scheme
        self._subprotocol = subprotocol
        self._agreed = False
        self.is_renewal = False

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
        return {name: values[-1] for name, values in self.query_all.items()}

    @property
    def query_all(self) -> dict[str, list[str]]:
        """Parameters of the query, with all values of each; without those that belong to the protocol."""
        query = self._parsed_query()
        query.pop(VERSION_PARAMETER, None)
        query.pop(RENEWAL_PARAMETER, None)
        query.pop(POSITIONS_PARAMETER, None)
        return query

    @property
    def understands(self) -> int:
        """Level of the protocol that the client announces (``_cw`` in its URL); 0 for the original's alone."""
        if VERSION_PARAMETER not in self._target:  # the usual case; parsing takes much longer
            return 0
        value = self._parsed_query().get(VERSION_PARAMETER, [""])[-1]
        return int(value) if value.isascii() and value.isdigit() and len(value) <= MAX_VERSION_DIGITS else 0

    @property
    def can_renew(self) -> bool:
        """Whether the client says that it can be asked for a new token."""
        return RENEWAL_PARAMETER in self._target and self._parsed_query().get(RENEWAL_PARAMETER, [""])[-1] == "1"

    def take_positions(self) -> str:
        """Return the value of ``_cw_at``, for the server's own use; it is forgotten here."""
        positions, self._positions = self._positions, ""
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

    def _parsed_query(self) -> dict[str, list[str]]:
        return _parameters(self._target.partition("?")[2])

    def __repr__(self) -> str:
        return f"<Handshake {self.path} from {self.remote or 'a Unix socket'}>"  # no query: it may hold a token


def _parameters(query: str) -> dict[str, list[str]]:
    """Return the parameters of a query, with all values of each, as ``urllib.parse.parse_qs`` does with blank ones.

    That takes five times as long.
    """
    is_plain = "%" not in query and "+" not in query
    found: dict[str, list[str]] = {}
    for part in query.split("&"):
        if part:
            name, _, value = part.partition("=")
            if not is_plain:
                name, value = unquote_plus(name), unquote_plus(value)
            found.setdefault(name, []).append(value)
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
