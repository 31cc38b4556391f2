"""The HTTP request that a connection began with."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote

from crosswire.core.headers import Headers
from crosswire.core.messages import VERSION_PARAMETER
from crosswire.errors import UsageError

_MOST_DIGITS = 9


class Handshake:
    """What a client said when it connected. ``authenticate`` gets it, and ``socket.handshake`` keeps it.

    Attributes:
        headers: its HTTP header fields, by case-insensitive name.
        remote: the client's IP address; empty on a Unix socket. Behind a proxy it is the proxy's, unless that is one of
            ``Server(trusted_proxies=...)``: then what it says, which may also be ``unknown`` or ``_hidden``.
        scheme: ``https`` if the client uses TLS, else ``http``, as the socket or a trusted proxy tells it.
    """

    __slots__ = ("_agreed", "_subprotocol", "_target", "headers", "remote", "scheme")

    def __init__(
        self, target: str, headers: Headers, remote: str, subprotocol: str | None = None, scheme: str = "http"
    ) -> None:
        self._target = target
        self.headers = headers
        self.remote = remote
        self.scheme = scheme
        self._subprotocol = subprotocol
        self._agreed = False

    @property
    def subprotocols(self) -> tuple[str, ...]:
        """The WebSocket subprotocols that the client offers, its favourite first."""
        values = self.headers.get_all("sec-websocket-protocol")
        return tuple([name for value in values for part in value.split(",") if (name := part.strip())])

    @property
    def subprotocol(self) -> str | None:
        """The one that was agreed on, or None. A synchronous ``authenticate`` may choose another of those offered.

        Raises:
            UsageError: one is set that the client does not offer, or after the upgrade, when it has been told.
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
        """Return the subprotocol that the client is told; from now on it stays."""
        self._agreed = True
        return self._subprotocol

    @property
    def path(self) -> str:
        """The path of the request, percent-decoded, without the query."""
        return unquote(self._target.partition("?")[0])

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters; of one given several times, the last (see :attr:`query_all`)."""
        return {name: values[-1] for name, values in self.query_all.items()}

    @property
    def query_all(self) -> dict[str, list[str]]:
        """The query's parameters, each with all its values; without ``_cw``, which is the protocol's own."""
        query = self._parsed_query()
        query.pop(VERSION_PARAMETER, None)
        return query

    @property
    def understands(self) -> int:
        """What the client says it understands besides the original's protocol (``_cw`` in its URL); 0 for nothing."""
        if VERSION_PARAMETER not in self._target:  # most often, and parsing takes much longer
            return 0
        value = self._parsed_query().get(VERSION_PARAMETER, [""])[-1]
        return int(value) if value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS else 0

    def _parsed_query(self) -> dict[str, list[str]]:
        return parse_qs(self._target.partition("?")[2], keep_blank_values=True)

    def __repr__(self) -> str:
        return f"<Handshake {self.path} from {self.remote or 'a Unix socket'}>"  # no query: it may hold a token
