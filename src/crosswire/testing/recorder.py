"""What the contract suite for transports looks through: a receiver that notes all, an acceptor that lets it in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Protocol

from crosswire.core.headers import Headers
from crosswire.transport.inbox import Event, Pong
from crosswire.transport.interface import Accepted, Connection, HttpRequest, Response
from crosswire.types import Close


class Peer(Protocol):
    """The other end of a connection under test; ``MessageClient`` is one."""

    subprotocol: str | None
    headers: Headers

    def send_text(self, text: str) -> None:
        """Send a text message."""

    def send_binary(self, data: bytes) -> None:
        """Send a binary message."""

    def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Send a Close, with any code; None for an empty one."""

    def abort(self) -> None:
        """Be gone without a word."""

    def pause_reading(self) -> None:
        """Read no more."""

    def resume_reading(self) -> None:
        """Read again."""

    async def receive(self, *, timeout: float = 5) -> Event:
        """Return what the server sent next; after the Close, raise ``NotConnected`` once the connection is gone."""
        ...


class FramePeer(Peer, Protocol):
    """The other end of a connection that carries frames; ``MemoryClient`` and ``SocketPeer`` are such."""

    def ping(self, payload: bytes = b"") -> None:
        """Send a Ping."""

    def pong(self, payload: bytes = b"") -> None:
        """Send a Pong."""


class Harness:
    """A transport that listens, as the suite needs it.

    Args:
        connect: ask it for a WebSocket, with a target and headers.
        remote: the address that the acceptor is to see.
        writes: how often the transport has written to a connection, if that can be observed.
    """

    def __init__(
        self,
        connect: Callable[[str, Mapping[str, str]], Awaitable[Peer | Response]],
        *,
        remote: str,
        writes: Callable[[], int] | None = None,
    ) -> None:
        self.connect = connect
        self.remote = remote
        self.writes: Callable[[], int] = writes or (lambda: 0)
        self.writes_of_a_turn: Collection[int] = (0,) if writes is None else (1,)


class Recorder:
    """A ``Receiver`` that notes all it is told.

    Args:
        fails_at: the method that raises: "opened", "text", ...
        ends_with: what it does as soon as it is opened: "close" or "abort", with 4003.
        pauses_at: the method that pauses reading: "opened", "text", ...

    Attributes:
        log: "opened", messages, Pongs and Closes, in order.
        closes: the Closes.
        connection: the one it receives from.
    """

    def __init__(self, *, fails_at: str = "", ends_with: str = "", pauses_at: str = "") -> None:
        self._fails_at = fails_at
        self._pauses_at = pauses_at
        self._ends_with = ends_with
        self.log: list[Event] = []
        self.closes: list[Close] = []
        self.connection: Connection

    def opened(self, connection: Connection) -> None:
        """Note it."""
        self.connection = connection
        self._note("opened", "opened")
        if self._ends_with == "close":
            connection.close(4003)
        elif self._ends_with == "abort":
            connection.abort(Close(4003))

    def text(self, text: str) -> None:
        """Note it."""
        self._note("text", text)

    def binary(self, data: bytes) -> None:
        """Note it."""
        self._note("binary", data)

    def pong(self, payload: bytes) -> None:
        """Note it."""
        self._note("pong", Pong(payload))

    def closed(self, close: Close) -> None:
        """Note it."""
        self.closes.append(close)
        self._note("closed", close)

    def _note(self, method: str, event: Event) -> None:
        self.log.append(event)
        if method == self._pauses_at:
            self.connection.pause_reading()
        if method == self._fails_at:
            raise RuntimeError(f"{method} fails, as the test wants it")


class Gatekeeper:
    """An ``Acceptor`` that lets all in to one receiver, or refuses all.

    Args:
        receiver: of the connection.
        refusal: the answer instead of a connection.
        subprotocol: granted.
        deflate: granted.
        headers: of the answer.
        wants: headers that the peer is to send.

    Attributes:
        requests: those that came.
    """

    def __init__(
        self,
        receiver: Recorder,
        refusal: Response | None = None,
        *,
        subprotocol: str | None = None,
        deflate: bool = False,
        headers: Mapping[str, str] | None = None,
        wants: Mapping[str, str] | None = None,
    ) -> None:
        self.receiver = receiver
        self.wants = wants or {}
        self.requests: list[HttpRequest] = []
        self._decision = refusal or Accepted(receiver, subprotocol, deflate, headers or {})

    def accept(self, request: HttpRequest) -> Accepted | Response:
        """Decide."""
        self.requests.append(request)
        return self._decision


async def eventually(predicate: Callable[[], object], what: str, *, timeout: float = 10) -> None:
    """Wait until ``predicate()`` is true.

    Raises:
        AssertionError: it was not within ``timeout`` seconds.
    """
    deadline = asyncio.get_running_loop().time() + timeout
    while not predicate():
        assert asyncio.get_running_loop().time() < deadline, f"not within {timeout} s: {what}"
        await asyncio.sleep(0.001)
