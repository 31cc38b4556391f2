"""The HTTP request that a connection began with."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote

from crosswire.core.headers import Headers
from crosswire.core.messages import UNDERSTANDS

_MOST_DIGITS = 9


class Handshake:
    """What a client said when it connected. ``authenticate`` gets it, and ``socket.handshake`` keeps it.

    Attributes:
        headers: its HTTP header fields, by case-insensitive name.
        remote: the peer's IP address, as the socket tells it; empty on a Unix socket. Behind a proxy it is the proxy's.
        subprotocol: the WebSocket subprotocol that was agreed on, or None.
    """

    __slots__ = ("_target", "headers", "remote", "subprotocol")

    def __init__(self, target: str, headers: Headers, remote: str, subprotocol: str | None = None) -> None:
        self._target = target
        self.headers = headers
        self.remote = remote
        self.subprotocol = subprotocol

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
        query.pop(UNDERSTANDS, None)
        return query

    @property
    def understands(self) -> int:
        """What the client says it understands besides the original's protocol (``_cw`` in its URL); 0 for nothing."""
        if UNDERSTANDS not in self._target:  # most often, and parsing takes much longer
            return 0
        value = self._parsed_query().get(UNDERSTANDS, [""])[-1]
        return int(value) if value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS else 0

    def _parsed_query(self) -> dict[str, list[str]]:
        return parse_qs(self._target.partition("?")[2], keep_blank_values=True)

    def __repr__(self) -> str:
        return f"<Handshake {self.path} from {self.remote or 'a Unix socket'}>"  # no query: it may hold a token
