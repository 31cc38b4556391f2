"""A member of a cluster, as an application makes it; every server has one."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Coroutine, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, overload

from crosswire.cluster.bus_options import chosen_bus, compat_options
from crosswire.cluster.clients import Clients, NoClients
from crosswire.cluster.connection import ClusterConnection
from crosswire.cluster.dispatcher import ClusterDispatcher, offer_services
from crosswire.cluster.gathering import gather_request, names_of
from crosswire.cluster.hooks import HandlerT, NodeHooks
from crosswire.cluster.interface import Bus
from crosswire.cluster.lifecycle import NodeLifecycle
from crosswire.cluster.pubsub import CustomChannels
from crosswire.cluster.redis.control import RedisControl
from crosswire.cluster.redis.options import Redis
from crosswire.cluster.responder import Responder
from crosswire.cluster.responders import Responders
from crosswire.cluster.streams import ReplyStream
from crosswire.core.audience import Audience, Audiences, Room
from crosswire.core.listeners import AnyHook, EventListeners, Handler, Tag, remove
from crosswire.core.names import require_event, require_name
from crosswire.core.options import require_node_name, require_timeout
from crosswire.core.payloads import payload_type
from crosswire.errors import UsageError
from crosswire.runtime import process
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.slow_handlers import slow_handler_watch
from crosswire.types import ANYTHING, NodeInfo, Replies, T

if TYPE_CHECKING:
    from typing_extensions import TypeForm


class Node:
    """A member of a cluster: sends the others events, asks them, and reaches users and rooms on all servers.

    Args:
        name: unique among the living members; made up if there is none.
        redis: URL of a Redis or Valkey, several, or :class:`Redis` with its options; "embedded" starts one for what
            is started in this folder, "embedded:NAME" for what gives that name.
        bus: anything else that carries messages, such as a :class:`MemoryBus`.
        clients: connected to this node; for a server.
        slow_handler: seconds; of a handler or hook that holds the event loop for longer a warning tells, once a
            minute. None: of none.

    Raises:
        ConfigError: an option can't be used.

    Example::

        node = Node("worker", redis="redis://127.0.0.1:6379")

        @node.on("resize")
        async def resize(sender: str, data: dict) -> dict:
            node.user(data["user"]).send("progress", {"percent": 10})
            return {"ok": True}

        node.run()
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        redis: str | Collection[str] | Redis | None = None,
        bus: Bus | None = None,
        clients: Clients | None = None,
        slow_handler: float | None = 0.1,
    ) -> None:
        clients = NoClients() if clients is None else clients
        tasks, background = BackgroundTasks(slow_handler_watch(slow_handler)), BackgroundTasks()
        self._events = EventListeners(sender=str)
        services = EventListeners(sender=str)
        responders = Responders(Responder(self._events, tasks), Responder(services, tasks, own=False))
        self._channels = CustomChannels(tasks)
        self._redis = RedisControl(lambda: self._lifecycle.starting_connection())
        self._hooks = NodeHooks(tasks, lambda: self._lifecycle.replaced(), self._redis.welcome)

        def connect(name: str, bus: Bus) -> ClusterConnection:
            return ClusterConnection(
                name,
                bus,
                responders,
                clients,
                self._hooks,
                background,
                compat=compat_options(bus),
                holds_events=bool(self._hooks.on_start),
            )

        self._lifecycle = lifecycle = NodeLifecycle(
            f"node-{secrets.token_hex(4)}" if name is None else require_node_name(name),
            chosen_bus(redis, bus),
            connect,
            responders,
            tasks,
            background,
            self._channels,
            self._hooks,
        )
        offer_services(services, clients)
        self._redis.offer(services)
        self._audiences = Audiences(ClusterDispatcher(clients, lifecycle.connection))
        self._connection = lifecycle.connection
        self.client_channels = lifecycle.client_channels
        self.on_join = self._hooks.on_join
        self.on_leave = self._hooks.on_leave
        self.on_gap = self._hooks.on_gap
        self.on_bus_health = self._hooks.on_bus_health
        self.on_subscription_error = self._hooks.on_subscription_error
        self.on_start = self._hooks.on_start
        self.on_stop = self._hooks.on_stop

    def __repr__(self) -> str:
        return f"<Node {self.name}{'' if self.running else ' not running'}>"

    @property
    def name(self) -> str:
        """The node's name."""
        return self._lifecycle.name

    @property
    def running(self) -> bool:
        """Whether it has been started and not stopped."""
        return self._lifecycle.running

    @property
    def incarnation(self) -> str:
        """What is unique to this run of the node."""
        return self._lifecycle.connection_to_read().incarnation

    # Events

    @overload
    def on(self, event: str, handler: HandlerT, *, once: bool = False, tag: Tag | None = None) -> HandlerT: ...
    @overload
    def on(
        self, event: str, handler: None = None, *, once: bool = False, tag: Tag | None = None
    ) -> Callable[[HandlerT], HandlerT]: ...
    def on(self, event: str, handler: Any = None, *, once: bool = False, tag: Tag | None = None) -> Any:
        """Call a handler with ``(sender, data)`` for every event of that name from a node; as a decorator or directly.

        Args:
            event: any name but an empty one or one that starts with ``$``.
            handler: sync or async; it may leave out ``data``, or both. ``sender`` is the name of the node. The
                annotation of ``data`` is what the payload is validated against. What it returns answers a ``call``,
                ``gather`` or ``stream``; raise :exc:`EventError` to refuse one.
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
        """As :meth:`on`, for the next event of that name only."""
        return self._events.on(event, handler, once=True, tag=tag)

    def off(self, event: str | AnyHook, handler_or_tag: Handler | Tag | None = None) -> None:
        """Remove handlers of an event, or of a hook given itself or by name; all, where none is named."""
        remove(event, handler_or_tag, self._events, self._hooks)

    def send(
        self, event: str, data: Any = None, *, to: str | Iterable[str] | None = None, include_self: bool = True
    ) -> None:
        """Send nodes an event. Never waits; a handler of this node's own is called in the next turn, without a Redis.

        Args:
            event: its name.
            data: anything with a MessagePack form.
            to: names of nodes; None for all.
            include_self: whether this node gets it too, if it is among them.

        Raises:
            InvalidPayload: ``data`` has no MessagePack form.
            UsageError: a name is empty or no string.
            BusUnavailable: no Redis can be reached and too much waits for it, where that is the policy.
            NotConnected: the node has not been started.
        """
        self._connection().requester.send(names_of(to), require_event(event), data, include_self=include_self)

    def call(
        self, name: str, event: str, data: Any = None, *, timeout: float = 5, type: TypeForm[T] = ANYTHING
    ) -> Coroutine[Any, Any, T]:
        """Ask a node; awaited, it gives the answer. Misuse raises at once.

        Args:
            name: of the node; its own is allowed.
            event: its name.
            data: as for :meth:`send`.
            timeout: seconds.
            type: what the answer is decoded into and must fit, as a handler's annotation says of its data.

        Raises:
            NodeGone: it is not alive, or died before it answered.
            CallTimeout: it did not answer in time.
            EventError: it refused; :exc:`InvalidPayload`, its answer does not fit; ``sender`` names it.
            ConfigError: the type can't be decoded.
            BusUnavailable: no Redis can be reached.
            InvalidPayload, UsageError, NotConnected: as :meth:`send`.
        """
        name = require_name(name, "a node's name")
        return self._connection().requester.call(
            name, require_event(event), data, require_timeout(timeout), payload_type(type)
        )

    async def gather(
        self,
        event: str,
        data: Any = None,
        *,
        to: str | Iterable[str] | None = None,
        timeout: float = 5,
        expect: int | None = None,
        include_self: bool = True,
        type: TypeForm[T] = ANYTHING,
    ) -> Replies[T]:
        """Ask nodes and wait for their answers.

        Args:
            event: its name.
            data: as for :meth:`send`.
            to: names of nodes; None for all.
            timeout: seconds; who has not answered by then is ``missing``, as is at once who dies.
            expect: how many answers are enough; None for one of every node that is asked and alive.
            include_self: whether this node is asked too.
            type: what an answer is decoded into; one that does not fit is among the errors, as :exc:`InvalidPayload`.

        Returns:
            The answers by the nodes' names.

        Raises:
            InvalidPayload, UsageError, NotConnected: as :meth:`send`.
        """
        return await self._connection().requester.gather(
            gather_request(event, data, to, timeout, expect, include_self, type)
        )

    def stream(
        self,
        event: str,
        data: Any = None,
        *,
        to: str | Iterable[str] | None = None,
        timeout: float = 5,
        expect: int | None = None,
        include_self: bool = True,
        type: TypeForm[T] = ANYTHING,
    ) -> ReplyStream[T]:
        """Ask nodes, and give each answer as it comes; otherwise as :meth:`gather`.

        Example::

            replies = node.stream("price", {"item": "tea"})
            async for reply in replies:
                print(reply.sender, reply.data, reply.error)
            print("no answer from", replies.missing)
        """
        return self._connection().requester.stream(gather_request(event, data, to, timeout, expect, include_self, type))

    # Channels of the application

    async def subscribe(self, channel: str, handler: HandlerT) -> HandlerT:
        """Call a handler with ``(sender, data)`` for all that is published on a channel; returns when it listens.

        Raises:
            UsageError, ConfigError: as :meth:`on`.
            BusUnavailable: no Redis lets this node listen there; the handler is not kept.
            NotConnected: the node has not been started.
        """
        await self._channels.subscribe(self._connection(), channel, handler)
        return handler

    def unsubscribe(self, channel: str, handler: Handler | None = None) -> None:
        """Remove a handler from a channel, or all of its handlers."""
        if self.running:
            self._connection()  # from here, and not from another thread
        self._channels.unsubscribe(channel, handler)

    def publish(self, channel: str, data: Any = None) -> None:
        """Publish on a channel. Every subscriber hears it, this node's own too.

        Raises:
            InvalidPayload, UsageError, BusUnavailable, NotConnected: as :meth:`send`.
        """
        self._channels.publish(self._connection(), channel, data)

    # Members

    @property
    def nodes(self) -> dict[str, NodeInfo]:
        """The living members by name, this node among them."""
        return self._connection().members.nodes

    @property
    def redis(self) -> RedisControl:
        """The Redis that carry its messages: shows how they are, adds and removes some.

        Raises:
            UsageError: the node has no Redis, as it is alone or has another bus.
        """
        if not isinstance(self._lifecycle.bus, Redis):
            raise UsageError(f"node {self.name!r} has no Redis: make it with redis=")
        return self._redis

    @property
    def gaps(self) -> int:
        """How often messages may have been missed; ``on_gap`` tells more."""
        return self._lifecycle.connection_to_read().port.gaps

    @property
    def dropped(self) -> int:
        """Messages that could not be handed to any Redis, and found no more room to wait."""
        part = self._lifecycle.connection_to_read()
        return part.port.dropped + part.native.dropped

    @property
    def refused(self) -> int:
        """Messages that came over the bus and were not what they should be."""
        return self._lifecycle.connection_to_read().refused

    # Audiences

    @property
    def everyone(self) -> Audience:
        """Every user that is connected to any server."""
        return self._audiences.everyone

    def user(self, id: str) -> Audience:
        """One user, wherever connected."""
        return self._audiences.user(id)

    def users(self, ids: Iterable[str]) -> Audience:
        """Some users; each is reached once, however often named."""
        return self._audiences.users(ids)

    def room(self, namespace: str, id: str) -> Room:
        """The members of a room, wherever connected."""
        return self._audiences.room(namespace, id)

    # Life

    async def start(self) -> None:
        """Join the cluster, and run the ``on_start`` hooks; events of other nodes wait until these have ended.

        Being cancelled, it leaves again. Where no Redis can be reached it starts all the same, and joins when one is
        back.

        Raises:
            ConfigError: a living node has the name, an option can't work, or the node runs already.
            UsageError: it was started in another event loop.
            NotConnected: it was stopped meanwhile.
            Exception: what an ``on_start`` handler raised.
        """
        await self._lifecycle.start()

    async def stop(self, drain: float = 0) -> None:
        """Let handlers end, run the ``on_stop`` hooks, and leave the cluster. Does nothing if the node does not run.

        A node that is being started is stopped by it too. Being cancelled, it hurries, and does all the same.

        Args:
            drain: seconds that handlers get to end; then they are cancelled. With 0 they get a second.
        """
        await self._lifecycle.stop(drain)

    def run(self, *, drain: float = 10) -> None:
        """Run until SIGINT, which stops at once, or SIGTERM, which drains; a second one hurries. Blocks.

        It runs on uvloop where there is one, and sets up logging unless that is done already.

        Args:
            drain: as for :meth:`stop`, after a SIGTERM.

        Raises:
            UsageError: an event loop runs here already, or this is not the main thread.
            SystemExit: what :meth:`start` tells with ConfigError, in a line; or another node has taken over the name.
            Exception: what an ``on_start`` or ``on_stop`` handler raised.
        """
        process.run("node", self._lifecycle, drain)

    async def __aenter__(self) -> Node:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    # For a server that has this node, and for the command line

    @property
    def incompatible_nodes(self) -> dict[str, str]:
        """The living members that speak another dialect than this node, by name: each misses the other's messages.

        Raises:
            NotConnected: the node has not been started.
        """
        return self._connection().members.incompatible

    async def wait_for_members(self) -> None:
        """Wait until all members are known, also those that were slow to answer when this node came.

        It takes no longer than the silence after which a member counts as dead.

        Raises:
            NotConnected: the node has not been started.
        """
        await self._connection().members.wait_for_all()

    async def wait_until_replaced(self) -> None:
        """Wait until another node has taken over this node's name; this one must stop then."""
        await self._lifecycle.wait_until_replaced()

    @property
    def bus(self) -> Bus | None:
        """What carries its messages; None if it is alone."""
        return self._lifecycle.bus

    def configure(self, *, name: str | None = None, redis: str | Collection[str] | Redis | None = None) -> None:
        """Change what it was made with, before it starts."""
        checked = None if name is None else require_node_name(name)
        self._lifecycle.configure(checked, chosen_bus(redis, None))
