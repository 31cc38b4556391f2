"""A receiver and an acceptor that record their calls, for the contract suite of transports."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Protocol

from crosswire.core.headers import Headers
from crosswire.transport.inbox import PeerEvent, Pong
from crosswire.transport.interface import Accepted, Connection, HttpRequest, Response
from crosswire.types import Close


class TransportPeer(Protocol):
    """The other end of a connection under test; ``MessageClient`` is one."""

    subprotocol: str | None
    headers: Headers

    def send_text(self, text: str) -> None: ...

    def send_binary(self, data: bytes) -> None: ...

    def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Send a Close, with any code; None for an empty one."""

    def abort(self) -> None:
        """Drop the connection without a Close."""

    def pause_reading(self) -> None:
        """Stop reading from the connection."""

    def resume_reading(self) -> None:
        """Go on reading from the connection."""

    async def receive(self, *, timeout: float = 5) -> PeerEvent:
        """Return what the server sent next; after the Close, raise ``NotConnected`` once the connection is gone."""
        ...


class FramePeer(TransportPeer, Protocol):
    """The other end of a connection that carries frames; ``MemoryClient`` and ``SocketPeer`` are such."""

    def ping(self, payload: bytes = b"") -> None: ...

    def pong(self, payload: bytes = b"") -> None: ...


class Harness:
    """A listening transport, for the contract suite.

    Args:
        connect: asks the transport for a WebSocket, with a target and headers.
        remote: the address that the acceptor must see.
        writes: how often the transport has written to a connection, if that can be observed.
    """

    def __init__(
        self,
        connect: Callable[[str, Mapping[str, str]], Awaitable[TransportPeer | Response]],
        *,
        remote: str,
        writes: Callable[[], int] | None = None,
    ) -> None:
        self.connect = connect
        self.remote = remote
        self.writes: Callable[[], int] = writes or (lambda: 0)
        self.writes_of_a_turn: Collection[int] = (0,) if writes is None else (1,)


class RecordingReceiver:
    """A ``Receiver`` that records its calls.

    Args:
        fails_at: the name of the method that raises: "opened", "text", ...
        ends_with: "close" or "abort", to end the connection with 4003 as soon as it is opened.
        pauses_at: the name of the method that pauses reading: "opened", "text", ...

    Attributes:
        log: "opened", messages, Pongs and Closes, in order.
        closes: the Closes.
        limits: names of the rates that the connection was over.
        connection: the connection it receives from.
    """

    def __init__(self, *, fails_at: str = "", ends_with: str = "", pauses_at: str = "") -> None:
        self._fails_at = fails_at
        self._pauses_at = pauses_at
        self._ends_with = ends_with
        self.log: list[PeerEvent] = []
        self.closes: list[Close] = []
        self.limits: list[str] = []
        self.connection: Connection

    def opened(self, connection: Connection) -> None:
        self.connection = connection
        self._note("opened", "opened")
        if self._ends_with == "close":
            connection.close(4003)
        elif self._ends_with == "abort":
            connection.abort(Close(4003))

    def text(self, text: str) -> None:
        self._note("text", text)

    def binary(self, data: bytes) -> None:
        self._note("binary", data)

    def pong(self, payload: bytes) -> None:
        self._note("pong", Pong(payload))

    def held_back(self, limit: str) -> None:
        self.limits.append(limit)

    def closed(self, close: Close) -> None:
        self.closes.append(close)
        self._note("closed", close)

    def _note(self, method: str, event: PeerEvent) -> None:
        self.log.append(event)
        if method == self._pauses_at:
            self.connection.pause_reading()
        if method == self._fails_at:
            raise RuntimeError(f"{method} fails, as the test wants it")


class RecordingAcceptor:
    """An ``Acceptor`` that accepts every request for one receiver, or refuses every request; it records them.

    Args:
        receiver: of the connection.
        refusal: the answer instead of a connection.
        subprotocol: granted.
        window_bits: of permessage-deflate, granted; 0 without.
        headers: of the answer.
        wants: headers that the peer must send.

    Attributes:
        requests: the recorded requests.
    """

    def __init__(
        self,
        receiver: RecordingReceiver,
        refusal: Response | None = None,
        *,
        subprotocol: str | None = None,
        window_bits: int = 0,
        headers: Mapping[str, str] | None = None,
        wants: Mapping[str, str] | None = None,
    ) -> None:
        self.receiver = receiver
        self.wants = wants or {}
        self.requests: list[HttpRequest] = []
        self._decision = refusal or Accepted(receiver, subprotocol, window_bits, headers or {})

    def accept(self, request: HttpRequest) -> Accepted | Response:
        self.requests.append(request)
        return self._decision

    def wants_body(self, request: HttpRequest) -> bool:
        return True


async def eventually(predicate: Callable[[], object], what: str, *, timeout: float = 10) -> None:
    """Wait until ``predicate()`` is true.

    Raises:
        AssertionError: it was not within ``timeout`` seconds.
    """
    deadline = asyncio.get_running_loop().time() + timeout
    while not predicate():
        assert asyncio.get_running_loop().time() < deadline, f"not within {timeout} s: {what}"
        await asyncio.sleep(0.001)
