"""The server of an application."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Final, overload

from crosswire.cluster.interface import Bus
from crosswire.cluster.node import Node
from crosswire.cluster.redis.options import Redis
from crosswire.cluster.revocations import TOKEN_LIFETIME
from crosswire.core.audience import Audience, Room
from crosswire.core.event_policies import PolicyName
from crosswire.core.limits import Heartbeat, Limits
from crosswire.core.listeners import AnyHook, Handler, Tag, remove
from crosswire.core.names import require_name
from crosswire.rooms.index import RoomQueries
from crosswire.runtime import process
from crosswire.runtime.flusher import Flusher
from crosswire.runtime.slow_handlers import slow_handler_watch
from crosswire.server.access_log import access_log_for
from crosswire.server.asgi import ServerApplication
from crosswire.server.async_upgrade import AsyncUpgrades
from crosswire.server.duplicates import Duplicates
from crosswire.server.hooks import HandlerT, PageT, UserHookT
from crosswire.server.instruments import ServerInstruments
from crosswire.server.lifecycle import Lifecycle
from crosswire.server.metrics_page import metrics_page
from crosswire.server.options import (
    require_options,
    require_origins,
    require_paths,
    require_proxies,
    require_subprotocols,
    require_tls,
)
from crosswire.server.plain_http import PageHandler, PlainRoutes, require_path
from crosswire.server.port_application import PortApplication
from crosswire.server.publish import publish_endpoint
from crosswire.server.route_websocket import call_of
from crosswire.server.server_parts import ServerParts
from crosswire.server.socket import Socket
from crosswire.server.upgrade import Terms, Upgrades
from crosswire.transport.direct_writes import DirectWrites
from crosswire.transport.interface import Acceptor, AsgiApplication, NetworkListener
from crosswire.transport.listener_context import ListenerContext
from crosswire.transport.network import make_listener
from crosswire.transport.tls_files import Tls
from crosswire.types import Replies


class Server:
    """Accepts WebSocket connections, delivers their events to your handlers, and sends to users and rooms.

    Args:
        name: unique among the nodes that work together; made up if there is none.
        host: address to listen on: IPv4, IPv6, a name, "" for all, or ``unix:/path`` for a Unix socket, with
            ``?mode=660`` for the mode of its file.
        port: 0 for a free one; after the start it is in :attr:`port`.
        redis: URL of a Redis or Valkey, several independent ones, or :class:`Redis` with its options. Servers with the
            same Redis act as one. "embedded" starts one for all servers and nodes started in this folder,
            "embedded:NAME" for all that give that name. None: it works alone.
        bus: carries messages between servers instead of Redis, such as a :class:`MemoryBus`.
        tls: certificate for ``wss``: a :class:`Tls`, whose files are loaded again when they change, the paths of a
            certificate and its key, or a context that you have made.
        origins: origins of pages that browsers may connect from, such as ``https://example.com``, with
            ``https://*.example.com`` for its subdomains; None for any.
        trusted_proxies: addresses and networks of proxies that are trusted about their clients, in ``Forwarded`` or
            ``X-Forwarded-For`` and ``-Proto``; "unix" for all that connect to a Unix socket.
        proxy_protocol: every connection begins with a header of the PROXY protocol, version 1 or 2. Connections without
            it, or not from one of ``trusted_proxies``, are dropped.
        path: path where WebSockets are taken, such as ``/ws``, or several; elsewhere they are refused with 404. None:
            every path, except for WebSocket routes of ``app`` where it is one of FastAPI or Starlette.
        subprotocols: WebSocket subprotocols of your own; the first that a client offers is agreed on.
        limits: what clients may use.
        heartbeat: how dead peers are found.
        duplicates: the policy for a second connection of the same user, to any server: "replace" closes the older one
            with 4012, "refuse" the newer one, "allow" keeps both. Give all servers the same.
        compression: grant permessage-deflate (RFC 7692) to clients that offer it.
        reuse_port: let several processes listen on the port.
        app: ASGI application, such as one of FastAPI, that answers all other requests on the port, its own WebSockets
            outside of ``path`` too. Its lifespan is run with the server. Needs ``crosswire[http]``.
        metrics: serve metrics at ``/metrics``, for Prometheus, to everybody who reaches the port; needs
            ``crosswire[prometheus]``.
        slow_handler: seconds; a handler or hook that holds the event loop for longer is warned of, once a minute.
            None: no warnings.
        publish_key: opens ``POST /publish``, by which other programs send events over HTTP, to those that have this
            key; several for their rotation. None: closed.
        access_log: log each connection and its end at INFO, in the logger ``crosswire.access``; each request to ``app``
            in ``uvicorn.access``.
        owns: namespaces whose rooms this server may own, see :meth:`Node.owner`; None for all.

    Attributes:
        cluster: node of this server: events and calls between servers, the members of the cluster, its Redis.

    Raises:
        ConfigError: an option can't be used.

    Example::

        server = Server(port=9000)

        @server.on("say")
        def say(socket: Socket, data: dict) -> dict:
            server.everyone.send("said", data, exclude=[socket.user])
            return {"ok": True}

        server.run()
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 9000,
        redis: str | Collection[str] | Redis | None = None,
        bus: Bus | None = None,
        tls: Tls | tuple[str, str] | ssl.SSLContext | None = None,
        origins: Collection[str] | None = None,
        trusted_proxies: Collection[str] = (),
        proxy_protocol: bool = False,
        path: str | Collection[str] | None = None,
        subprotocols: Collection[str] = (),
        limits: Limits = Limits(),
        heartbeat: Heartbeat = Heartbeat(),
        duplicates: Duplicates = "replace",
        compression: bool = False,
        reuse_port: bool = False,
        app: AsgiApplication | None = None,
        metrics: bool = False,
        slow_handler: float | None = 0.1,
        publish_key: str | Collection[str] | None = None,
        access_log: bool = True,
        owns: Collection[str] | None = None,
    ) -> None:
        require_options(
            limits=limits,
            heartbeat=heartbeat,
            duplicates=duplicates,
            compression=compression,
            proxy_protocol=proxy_protocol,
            metrics=metrics,
        )
        certificate = require_tls(tls)
        proxies = require_proxies(trusted_proxies, proxy_protocol=proxy_protocol)
        terms = Terms(
            require_origins(origins),
            proxies,
            require_subprotocols(subprotocols),
            compression,
            limits.connections,
            require_paths(path),
            limits.unauthenticated,
        )
        self._limits = limits
        flusher, watch = Flusher(), slow_handler_watch(slow_handler)
        parts = ServerParts(
            limits,
            heartbeat,
            duplicates,
            flusher.schedule,
            watch,
            access_log_for(access_log, lambda: self.name),
            DirectWrites(flusher).push_all,
        )
        self._access_log = access_log
        self._hooks = parts.hooks
        self._events = parts.events
        self._registry = parts.registry
        self.cluster: Final = Node(
            name, redis=redis, bus=bus, clients=parts.clients(lambda: self.name), slow_handler=slow_handler, owns=owns
        )
        parts.attach(self.cluster)
        self._audiences = self.cluster.audiences
        self._known_users = self._audiences.known
        self._authentication = parts.authentication
        self._routes = PlainRoutes(self.cluster, publish_endpoint(publish_key, self.cluster, limits))
        self._acceptor = Upgrades(
            self._routes, self._authentication, terms, parts.sessions, parts.open_session, parts.failures, watch
        )
        self._listener: NetworkListener = make_listener(
            self._acceptor,
            limits,
            flusher,
            host=host,
            port=port,
            tls=certificate,
            reuse_port=reuse_port,
            header_senders=proxies if proxy_protocol else None,
            has_proxies=proxies is not None,
            count_refusal=parts.failures.losses.dropped,
        )
        self._lifecycle = Lifecycle(
            self._hooks, parts.tasks, parts.failures, parts.drain, self._acceptor, self._listener, self.cluster
        )
        async_upgrades = AsyncUpgrades(self._acceptor, parts.tasks, limits.auth_timeout, parts.failures)
        context = ListenerContext(limits, flusher, compress=compression)
        self._asgi = ServerApplication(self._lifecycle, self._acceptor, async_upgrades, context)
        if app is not None:
            self._share_port(app)

        self._instruments = ServerInstruments(parts, self.cluster.instruments)
        if metrics:
            self._routes.add("/metrics", metrics_page(self._instruments.measure()))

        self.on_connect = self._hooks.on_connect
        self.on_disconnect = self._hooks.on_disconnect
        self.on_message = self._hooks.on_message
        self.on_error = self._hooks.on_error
        self.on_pong = self._hooks.on_pong
        self.on_heartbeat = self._hooks.on_heartbeat
        self.on_start = self._hooks.on_start
        self.on_listening = self._hooks.on_listening
        self.on_stop = self._hooks.on_stop

    def __repr__(self) -> str:
        return f"<Server {self.name} {self._listener.address}>"

    @property
    def name(self) -> str:
        """Name of the server, unique in the cluster."""
        return self.cluster.name

    @property
    def port(self) -> int:
        """The port it listens on; 0 on a Unix socket, and before the start if a free one was asked for."""
        return self._listener.port

    # Events and hooks

    @overload
    def on(self, event: str, handler: HandlerT, *, once: bool = False, tag: Tag | None = None) -> HandlerT: ...
    @overload
    def on(
        self, event: str, handler: None = None, *, once: bool = False, tag: Tag | None = None
    ) -> Callable[[HandlerT], HandlerT]: ...
    def on(self, event: str, handler: Any = None, *, once: bool = False, tag: Tag | None = None) -> Any:
        """Call a handler with ``(socket, data)`` for every event of that name; as a decorator or directly.

        Args:
            event: any name but an empty one or one that starts with ``$``.
            handler: sync or async; it may leave out ``data``, or both. The annotation of ``data`` is what the payload
                is validated against before the call. What the handler returns answers a call; raise
                :exc:`EventError` to refuse one.
            once: remove it before its first call.
            tag: a label for :meth:`off`.

        Raises:
            UsageError: the name can't be used.
            ConfigError: the handler's signature or annotation can't be used.
        """
        return self._events.on(event, handler, once=once, tag=tag)

    @overload
    def once(self, event: str, handler: HandlerT, *, tag: Tag | None = None) -> HandlerT: ...
    @overload
    def once(self, event: str, handler: None = None, *, tag: Tag | None = None) -> Callable[[HandlerT], HandlerT]: ...
    def once(self, event: str, handler: Any = None, *, tag: Tag | None = None) -> Any:
        """Do the same as :meth:`on`, for the next event of that name only."""
        return self._events.on(event, handler, once=True, tag=tag)

    def off(self, event: str | AnyHook, handler_or_tag: Handler | Tag | None = None) -> None:
        """Remove the given handler, the handlers with the given tag, or all handlers.

        Args:
            event: an event's name, or a hook: ``server.off(server.on_connect, handler)``, or by its name,
                ``server.off("on_connect", handler)``.
            handler_or_tag: None for all.
        """
        remove(event, handler_or_tag, self._events, self._hooks)

    def policy(self, event: str, policy: PolicyName, *, key: str | None = None) -> None:
        """Declare what happens to an event for connections whose clients read too slowly; see :meth:`Node.policy`.

        Args:
            event: its name.
            policy: "close", "latest", "drop-oldest", "drop-newest" or "volatile".
            key: field of the event's data, a text or a number, for "latest".

        Raises:
            ConfigError: there is no such policy, or it has no key.
            UsageError: the event's name is empty or reserved.

        Example::

            server.policy("price", "latest", key="item")
            server.policy("cursor", "volatile")
        """
        self.cluster.policy(event, policy, key=key)

    def history(self, namespace: str, *, size: int = 100, ttl: float = 300) -> None:
        """Keep the last messages of each room of a namespace, on all servers, for clients that come back.

        Such a client gets what it has missed when it joins the room again, wherever it connects, or is told that it
        can't be had. See :meth:`Node.history`.

        Args:
            namespace: of the rooms.
            size: number of messages that a room keeps.
            ttl: seconds for which a message is kept.

        Raises:
            ConfigError: the numbers can't be used, or the bus can't keep messages.
            UsageError: the namespace is no name, or too long.

        Example::

            server.history("chat", size=100, ttl=300)
        """
        self.cluster.history(namespace, size=size, ttl=ttl)

    def authenticate(self, hook: UserHookT) -> UserHookT:
        """Call this hook for each new connection, before any of its events, to find out its user.

        It gets the :class:`Handshake` and returns the user id, or None for a generated one; it raises
        :exc:`Reject` to refuse. Sync or async; an asynchronous hook runs after the HTTP upgrade, while messages wait;
        in an ASGI application it runs before.

        Raises:
            ConfigError: there is one already.
        """
        self._authentication.use(hook)
        return hook

    @overload
    def get(self, path: str, handler: PageT) -> PageT: ...
    @overload
    def get(self, path: str, handler: None = None) -> Callable[[PageT], PageT]: ...
    def get(self, path: str, handler: PageHandler | None = None) -> Any:
        """Answer plain HTTP GET requests for a path, on the same port; as a decorator or directly.

        The handler is synchronous, takes the request (a :class:`Handshake`) or nothing, and returns a str, bytes,
        a :class:`Response`, or data that is sent as JSON. ``/healthz`` and ``/readyz`` are built in.

        Raises:
            ConfigError: the path does not start with a slash, or the handler is asynchronous.
        """
        require_path(path)
        if handler is None:
            return lambda function: self.get(path, function)
        self._routes.add(path, handler)
        return handler

    # Audiences, users and rooms

    @property
    def everyone(self) -> Audience:
        """Audience of all users that are connected."""
        return self._audiences.everyone

    def user(self, id: str) -> Audience:
        """Return the audience of one user, on all its connections."""
        known = self._known_users.get(id) if type(id) is str else None
        return known or self._audiences.user(id)

    def users(self, ids: Iterable[str]) -> Audience:
        """Return the audience of some users; a message reaches each once, even if named twice."""
        return self._audiences.users(ids)

    def room(self, namespace: str, id: str) -> Room:
        """Return the audience of the members of a room."""
        return self._audiences.room(namespace, id)

    async def revoke(
        self, *, user: str | None = None, token_id: str | None = None, lifetime: float = TOKEN_LIFETIME
    ) -> Replies:
        """Close the connections of tokens on all servers with 4010, and refuse new ones; see :meth:`Node.revoke`.

        Example::

            await server.revoke(user="13")  # log out everywhere; a token that is issued from now on is good
        """
        return await self.cluster.revoke(user=user, token_id=token_id, lifetime=lifetime)

    @property
    def local_rooms(self) -> RoomQueries:
        """Rooms and their members on this server alone, without asking others."""
        return self._registry.rooms

    @property
    def sockets(self) -> Collection[Socket]:
        """Snapshot of the open connections of this server that have been let in."""
        return tuple([client.socket for client in self._registry.users.members])

    def socket_of(self, user: str) -> Socket | None:
        """Return a user's connection to this server, the newest of several, or None."""
        clients = self._registry.users.of(require_name(user, "a user id"))
        return clients[-1].socket if clients else None

    # Life

    @property
    def acceptor(self) -> Acceptor:
        """Acceptor of requests, for transports of your own and tests in memory."""
        return self._acceptor

    @property
    def asgi(self) -> ServerApplication:
        """ASGI application with the server's WebSockets and pages, to be served by an ASGI server or mounted."""
        return self._asgi

    def lifespan(self, app: object = None) -> AbstractAsyncContextManager[None]:
        """Run the server, without a port of its own, while the context is entered.

        Args:
            app: ignored; ASGI frameworks give it to the lifespan of an application.

        Raises:
            ConfigError: as for :meth:`start`.

        Example::

            app = FastAPI(lifespan=server.lifespan)
            app.mount("/chat", server.asgi)
        """
        return self._asgi.lifespan()

    async def accept(self, websocket: Any, receive: Any = None, send: Any = None, *, user: str | None = None) -> None:
        """Serve a WebSocket that a route of another application hands over, and return when it is closed.

        If the caller is cancelled, the connection ends. The route may have accepted the WebSocket, but has neither
        received nor sent anything else.

        Args:
            websocket: of FastAPI, Starlette or Litestar; or the ``scope`` of an ASGI call.
            receive: of the ASGI call, if ``websocket`` is its scope.
            send: of the ASGI call, if ``websocket`` is its scope.
            user: of the connection; None to ask ``authenticate``.

        Raises:
            UsageError: the server was not started, or in another event loop; this is no WebSocket, or it was closed;
                the user is not a non-empty string.

        Example::

            @app.websocket("/chat")
            async def chat(websocket: WebSocket, user: Annotated[User, Depends(current_user)]):
                await server.accept(websocket, user=user.id)
        """
        call = call_of(websocket, receive, send)
        await self._asgi.accept(call, None if user is None else require_name(user, "the user of a WebSocket"))

    @property
    def limits(self) -> Limits:
        """Limits of what clients may use."""
        return self._limits

    @property
    def running(self) -> bool:
        """Whether the server has been started and not stopped."""
        return self._lifecycle.running

    @property
    def reloads(self) -> bool:
        """Whether its certificate comes from files, which are loaded again at a SIGHUP."""
        return self._lifecycle.reload is not None

    @property
    def instruments(self) -> ServerInstruments:
        """Metrics and tracing, which are attached before the start; see ``crosswire.integrations``."""
        return self._instruments

    def configure(
        self,
        *,
        name: str | None = None,
        host: str | None = None,
        port: int | None = None,
        redis: str | Collection[str] | Redis | None = None,
        reuse_port: bool | None = None,
        app: AsgiApplication | None = None,
        tls: Tls | None = None,
    ) -> None:
        """Change options before the start, for a program that runs a server made by another module.

        Raises:
            ConfigError: the server runs already, or an option can't be used.
        """
        self.cluster.configure(name=name, redis=redis)
        if app is not None:
            self._share_port(app)
        self._listener.configure(host=host, port=port, reuse_port=reuse_port, tls=tls)

    def _share_port(self, app: AsgiApplication) -> None:
        application = PortApplication(app, self._acceptor, self._routes, self._limits, access_log=self._access_log)
        self._listener.share_with(application.http)
        self._lifecycle.applications = (application,)

    async def start(self, *, listen: bool = True) -> None:
        """Join the cluster, run the ``on_start`` hooks, listen, and begin the ``on_listening`` hooks.

        Args:
            listen: False to take no port: connections then come only through :attr:`acceptor`.

        Raises:
            ConfigError: the address can't be used, a living node has the name, or the server runs already.
            UsageError: it was started in another event loop.
            NotConnected: it was stopped meanwhile.
            Exception: what an ``on_start`` handler raised.
        """
        await self._lifecycle.start(listen=listen)

    async def stop(self, drain: float = 0) -> None:
        """Take no more connections, close all with 1001, wait for handlers, and run the ``on_stop`` hooks.

        A server that is being started is stopped too. If the stop is cancelled, it skips the waiting.

        Args:
            drain: seconds over which the closing is spread, so that clients do not all reconnect at once.
                Handlers still at work then are cancelled; with 0 they get a second. With infinite time the closing
                takes a minute, and handlers may take as long as they want.
        """
        await self._lifecycle.stop(drain)

    def run(self, *, drain: float = 10) -> None:
        """Run until SIGINT, which stops at once, or SIGTERM, which drains; a second one hurries. Blocks.

        Uses uvloop if it is installed, and sets up logging unless that is done already.

        Args:
            drain: as for :meth:`stop`, after a SIGTERM.

        Raises:
            UsageError: an event loop runs here already, or this is not the main thread.
            SystemExit: for a ConfigError of :meth:`start`, with its text; or another node has taken over the name.
            Exception: what an ``on_start`` or ``on_stop`` handler raised.
        """
        process.run("server", self._lifecycle, drain)

    async def __aenter__(self) -> Server:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
