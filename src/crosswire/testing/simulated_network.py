"""The network between the clients and the servers of a simulation."""

from __future__ import annotations

import asyncio
from contextvars import Context, copy_context
from functools import partial
from random import Random
from urllib.parse import urlsplit

from crosswire.core.headers import Headers
from crosswire.core.limits import Limits
from crosswire.errors import NotConnected, Refused, is_final
from crosswire.runtime.flusher import Flusher
from crosswire.testing.partitions import Partitions
from crosswire.testing.simulated_connection import SimulatedConnection
from crosswire.testing.simulated_stream import SimulatedStream
from crosswire.testing.trace import Trace
from crosswire.transport.client_connection import ClientReceiver, ConnectTarget
from crosswire.transport.interface import Acceptor, HttpRequest, Response
from crosswire.transport.listener_context import ListenerContext
from crosswire.transport.memory import MemoryConnection, make_upgrade_request
from crosswire.types import CloseCode


class Host:
    """A server of a simulation, as clients reach it.

    Args:
        name: of the server.
        acceptor: decides about requests.
        limits: of every connection.
        context: of the server's process.
    """

    def __init__(self, name: str, acceptor: Acceptor, limits: Limits, context: Context) -> None:
        self.name = name
        self.acceptor = acceptor
        self.listener = ListenerContext(limits, Flusher())
        self.context = context
        self._remotes: dict[str, str] = {}

    def remote_of(self, client: str) -> str:
        """Return the address of a client: each has one of its own."""
        number = len(self._remotes) + 1
        return self._remotes.setdefault(client, f"10.1.{number >> 8 & 255}.{number & 255}")


class SimulatedNetwork:
    """Carries connections of clients to servers. As with TCP, what is sent arrives, in order, or the connection breaks.

    Args:
        random: source of the delays.
        partitions: who can't hear whom.
        trace: takes what happens.

    Attributes:
        delay: seconds that each message takes, at least and at most.
        hosts: the living servers, by name.
    """

    def __init__(self, random: Random, partitions: Partitions, trace: Trace) -> None:
        self.delay = (0.0, 0.0)
        self.hosts: dict[str, Host] = {}
        self._random = random
        self._partitions = partitions
        self._trace = trace
        self._connections: list[SimulatedConnection] = []

    async def connect(
        self, client: str, servers: tuple[str, ...], target: ConnectTarget, receiver: ClientReceiver
    ) -> SimulatedConnection:
        """Open a connection to one of some servers, chosen at random among the living ones.

        Raises:
            Refused: the server answered with an HTTP status.
            NotConnected: none of the servers lives.
        """
        living = [name for name in servers if name in self.hosts] or list(servers)
        server = living[int(self._random.random() * len(living))]
        host = self.hosts.get(server)
        up = self._stream(client, server, None if host is None else host.context)
        down = self._stream(server, client, copy_context())
        connection = SimulatedConnection(client, server, receiver, target, up, down, self._trace.add)
        answered: asyncio.Future[Response | None] = asyncio.get_running_loop().create_future()
        self._trace.add(f"{client} connects to {server}")
        self._connections.append(connection)
        try:
            if host is None:
                down.send(partial(_settle, answered, NotConnected(f"can't connect to {server}: connection refused")))
            else:
                up.send(partial(self._accept, host, connection, target, answered))
            response = await answered
        except BaseException:
            connection.give_up()
            raise
        if response is not None:
            connection.give_up()
            status = response.status
            code = CloseCode.POLICY if is_final(status) else CloseCode.ABNORMAL
            raise Refused(code, f"HTTP {status}", status=status)
        return connection

    def cut(self, client: str) -> None:
        """Break the connections of a client; both ends are told."""
        for connection in self._of(client):
            self._trace.add(f"the connection of {client} to {connection.server} is cut")
            connection.cut()

    def kill(self, server: str) -> None:
        """Break the connections to a server that is dead: its machine tells the clients, if they can hear it."""
        self.hosts.pop(server, None)
        for connection in self._of(server):
            connection.server_lost()

    def healed(self) -> None:
        """Carry what has waited for the end of a partition."""
        for connection in self._connections:  # those that are over, too: the server may not know yet
            connection.up.go_on()
            connection.down.go_on()

    def _accept(
        self,
        host: Host,
        connection: SimulatedConnection,
        target: ConnectTarget,
        answered: asyncio.Future[Response | None],
    ) -> None:
        """Let the server decide; runs in its process."""
        decision = host.acceptor.accept(_request(target, host.remote_of(connection.client)))
        if isinstance(decision, Response):
            self._trace.add(f"{host.name} refuses {connection.client}: HTTP {decision.status}")
            connection.down.send(partial(_settle, answered, decision))
            return
        make_inbox = partial(connection.inbox, host.context)
        server_end = MemoryConnection(decision.receiver, host.listener, make_inbox)
        headers = Headers(decision.headers.items())
        connection.accepted(server_end.transport, decision.subprotocol, headers)
        connection.down.send(partial(_opened, connection, answered))
        server_end.open()

    def _stream(self, sender: str, receiver: str, context: Context | None) -> SimulatedStream:
        return SimulatedStream(self._draw_delay, partial(self._partitions.blocks, sender, receiver), context)

    def _draw_delay(self) -> float:
        low, high = self.delay
        return self._random.uniform(low, high) if high else 0.0

    def _of(self, name: str) -> list[SimulatedConnection]:
        return [each for each in self._connections if not each.over and name in (each.client, each.server)]


def _request(target: ConnectTarget, remote: str) -> HttpRequest:
    """Return the request for an upgrade as the server reads it."""
    url = urlsplit(target.url)
    query = f"?{url.query}" if url.query else ""
    fields = {"Host": url.netloc, **target.headers}
    if target.subprotocols:
        fields["Sec-WebSocket-Protocol"] = ", ".join(target.subprotocols)
    return make_upgrade_request(f"{url.path or '/'}{query}", fields.items(), remote)


def _settle(answered: asyncio.Future[Response | None], answer: Response | Exception) -> None:
    if answered.done():
        return
    if isinstance(answer, Exception):
        answered.set_exception(answer)
    else:
        answered.set_result(answer)


def _opened(connection: SimulatedConnection, answered: asyncio.Future[Response | None]) -> None:
    if not answered.done():
        connection.open()
        answered.set_result(None)
