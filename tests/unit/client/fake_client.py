"""A client whose server is the test, without a network."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from crosswire.client import Client
from crosswire.errors import NotConnected
from crosswire.transport.client_connection import ClientConnection, ClientReceiver, ConnectTarget
from crosswire.types import Close

READY = '{"event":"$ready","payload":null}'
"""Message of a server that lets a client in."""


async def settle() -> None:
    """Let everything happen that waits for no time."""
    for _ in range(10):
        await asyncio.sleep(0)


class FakeConnection:
    """An attempt to connect, and the connection that becomes of it."""

    subprotocol = None

    def __init__(self, receiver: ClientReceiver, *, announces: bool = False) -> None:
        self.announces = announces
        self.closing: Close | None = None
        self.paused = self.was_wanted = False
        self._receiver = receiver
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._over = self._aborting = False
        self.sent: list[str] = []

    async def upgrade(self) -> None:
        """Wait for the server's answer."""
        await self._opened

    @property
    def is_dialled(self) -> bool:
        """Whether the server has not answered yet, and somebody waits for it."""
        return not self._opened.done()

    @property
    def is_open(self) -> bool:
        """Whether the connection was agreed to and has not ended."""
        return (
            self._opened.done() and not self._opened.cancelled() and self._opened.exception() is None and not self._over
        )

    # What the server does

    def open(self) -> None:
        """Accept the upgrade as the server."""
        self._opened.set_result(None)
        self._receiver.opened(cast(ClientConnection, self))
        self.was_wanted = not self._aborting

    def fail(self) -> None:
        """Let the attempt to connect fail."""
        self._opened.set_exception(NotConnected("can't connect: as the case says"))

    def receive(self, text: str) -> None:
        """Say something to the client."""
        self._receiver.text(text)

    def end(self, close: Close) -> None:
        """End the connection, if it is not over."""
        if not self._over:
            self._over = True
            self._receiver.closed(close)

    # What the client does

    @property
    def ending(self) -> Close | None:
        """Close that the server has sent, if any."""
        return self.closing

    def send_text(self, data: bytes) -> bool:
        """Note a message, unless the server has said goodbye."""
        if self.closing is not None:
            return False
        self.sent.append(data.decode())
        return True

    def ask(self, data: bytes) -> None:
        """Note a heartbeat that was sent."""
        self.sent.append(data.decode())

    def pause(self) -> None:
        """Note that nothing is read."""
        self.paused = True

    def resume(self) -> None:
        """Note that it is again."""
        self.paused = False

    def moved(self) -> bool:
        """Return False, as nothing moves but what the test sends."""
        return False

    def close(self, code: int, reason: str = "") -> None:
        """Complete the closing handshake in the next turn."""
        self.abort(Close(code, reason))

    def abort(self, close: Close) -> None:
        """Be gone in the next turn."""
        self._aborting = True
        asyncio.get_running_loop().call_soon(self.end, close)


class FakeClient:
    """A client, what it told, and the connections it asked for. One at a time.

    Args:
        announces: whether its servers say that they will tell when they let it in.
        options: the client's.
    """

    _youngest: FakeClient

    def __init__(self, *, announces: bool = False, **options: Any) -> None:
        FakeClient._youngest = self
        self._announces = announces
        self.targets: list[ConnectTarget] = []
        self.connections: list[FakeConnection] = []
        self.told: list[list[Any]] = []
        self.client = client = Client("ws://test", **{"ping_interval": None, **options})
        client.on_open(lambda: self.told.append(["open"]))
        client.on_close(lambda close: self.told.append(["close", close.code, client.reconnecting]))
        client.on_error(lambda _: self.told.append(["error"]))
        client.on_reconnect(lambda attempt, delay: self.told.append(["reconnect", attempt, delay]))
        client.on_give_up(lambda limit: self.told.append(["give up", limit]))
        client.on_ping(lambda: self.told.append(["ping"]))
        client.on_pong(lambda _: self.told.append(["pong"]))
        client.on_pong_timeout(lambda: self.told.append(["pong timeout"]))

    @property
    def last(self) -> FakeConnection:
        """The connection that was opened last."""
        return self.connections[-1]

    @classmethod
    async def dial(cls, target: ConnectTarget, receiver: ClientReceiver) -> FakeConnection:
        """Replace :func:`crosswire.transport.client_connection.connect` in tests."""
        return await cls._youngest._dial(target, receiver)

    async def _dial(self, target: ConnectTarget, receiver: ClientReceiver) -> FakeConnection:
        connection = FakeConnection(receiver, announces=self._announces)
        self.targets.append(target)
        self.connections.append(connection)
        self.told.append(["dial"])
        try:
            await connection.upgrade()
        except BaseException:
            if connection.is_open:
                connection.abort(Close(1006, "given up while connecting"))
            raise
        return connection
