"""A member of a cluster, as an application makes it. Every server has one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, overload

from crosswire.cluster.bus_options import chosen_bus
from crosswire.cluster.clients import Clients
from crosswire.cluster.gather_request import gather_request, names_of
from crosswire.cluster.hooks import HandlerT
from crosswire.cluster.instruments import NodeInstruments
from crosswire.cluster.interface import Bus
from crosswire.cluster.node_parts import NodeParts
from crosswire.cluster.owners import OwnerHandler
from crosswire.cluster.redis.control import RedisControl
from crosswire.cluster.redis.options import Redis
from crosswire.cluster.revocations import TOKEN_LIFETIME
from crosswire.cluster.streams import ReplyStream
from crosswire.core.audience import Audience, Room
from crosswire.core.event_policies import PolicyName
from crosswire.core.listeners import AnyHook, Handler, Tag, remove
from crosswire.core.names import require_event, require_name, require_prefix
from crosswire.core.options import require_call, require_limit, require_node_name, require_seconds
from crosswire.core.payload_types import ANY, payload_type
from crosswire.core.revocations import MAX_NAME
from crosswire.errors import UsageError
from crosswire.runtime import process
from crosswire.runtime.loop_thread import WrongThread, get_ident
from crosswire.types import ANYTHING, NodeInfo, NodeStatus, Replies, RoomList, T

if TYPE_CHECKING:
    from typing_extensions import TypeForm


class Node:
    """A member of a cluster: sends events and requests to other nodes, and messages to users and rooms on all servers.

    Args:
        name: unique among the living members; random if not given.
        redis: URL of a Redis or Valkey, several, or :class:`Redis` with its options; "embedded" starts a private one
            for the programs started in this folder, "embedded:NAME" one for the programs that give that name.
        bus: another bus than Redis, such as a :class:`MemoryBus`.
        clients: the clients that are connected to this node; for a server.
        slow_handler: seconds; a handler or hook that holds the event loop for longer is logged; None logs none.
        owns: namespaces whose rooms this node may own, see :meth:`owner`; None for all, ``()`` for none.

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
        owns: Collection[str] | None = None,
    ) -> None:
        parts = NodeParts(name, chosen_bus(redis, bus), clients, slow_handler, owns)
        self._events = parts.events
        self._hooks = parts.hooks
        self._channels = parts.channels
        self._redis = parts.redis
        self.audiences = parts.audiences
        self._known_users = parts.audiences.known
        self._dispatcher = parts.dispatcher
        self.policies = parts.policies
        self._instruments = parts.instruments
        self._status = parts.status
        self.revocations = parts.revocations
        self._declare_history = parts.declare_history
        self._lifecycle = parts.lifecycle
        self._connection = parts.lifecycle.connection
        self._current = parts.lifecycle.current
        self._thread_sends = parts.thread_sends
        self.thread_calls = parts.thread_calls
        self.client_channels = parts.lifecycle.client_channels
        self.user_channels = parts.lifecycle.user_channels
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
        """The name of this node, unique in its cluster."""
        return self._lifecycle.name

    @property
    def running(self) -> bool:
        """Whether the node has been started and not stopped."""
        return self._lifecycle.running

    @property
    def bus_available(self) -> bool:
        """Whether the node runs and reaches its bus: one of its Redis at least. True if it runs and needs no bus."""
        return self._lifecycle.bus_available

    @property
    def incarnation(self) -> str:
        """A text that is unique to this run of the node."""
        return self._lifecycle.connection_for_any_thread().incarnation

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
                payload is validated against the annotation of ``data``. The return value answers a ``call``,
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
        """Call a handler for the next event of that name only; otherwise as :meth:`on`."""
        return self._events.on(event, handler, once=True, tag=tag)

    def off(self, event: str | AnyHook, handler_or_tag: Handler | Tag | None = None) -> None:
        """Remove a handler, or without one all handlers, of an event or a hook. A hook is given itself or by name."""
        remove(event, handler_or_tag, self._events, self._hooks)

    def policy(self, event: str, policy: PolicyName, *, key: str | None = None) -> None:
        """Declare what happens to an event for connections whose clients read too slowly.

        While a client is behind, what is sent to it waits in its outbox (``Limits.outbox``), and:

        - "close", the default: a message waits; if it finds no room, the connection is closed (1013), and the client
          connects anew.
        - "latest": a newer message of the event takes the place of an older one that waits, with ``key`` only of one
          with the same value in that field. It comes behind what waits already, so the order of messages is kept.
        - "drop-oldest": a message waits; if there is no room, messages that waited longest are dropped for it.
        - "drop-newest": a message that finds no room is dropped.
        - "volatile": a message never waits: it is dropped for each client that is behind.

        If a message that may not be dropped finds no room, all that may be dropped make room for it first. What was
        dropped is counted by event: ``skipped`` of :meth:`status`, and the metric ``crosswire_messages_skipped_total``.
        The policy travels with the message to other servers. Answers and calls are never dropped.

        Args:
            event: its name.
            policy: one of those above; it replaces one that was declared before.
            key: field of the event's data, a text or a number, for "latest".

        Raises:
            ConfigError: there is no such policy, or it has no key.
            UsageError: the event's name is empty or reserved.

        Example::

            node.policy("price", "latest", key="item")
            node.policy("cursor", "volatile")
        """
        self.policies.declare(event, policy, key)

    def history(self, namespace: str, *, size: int = 100, ttl: float = 300) -> None:
        """Declare that each room of a namespace keeps its last messages, on all nodes.

        A client that comes back then gets what it has missed in such a room, wherever it connects. Said on one node, it
        holds on all, also when that one is gone. Where two nodes declare a namespace differently, the larger ``size``
        and the larger ``ttl`` hold, and both nodes log a warning. It may be said before the start, or at any time after
        it, in the thread of the event loop.

        Args:
            namespace: of the rooms, 256 bytes at most; 100 namespaces at most keep history.
            size: number of messages that a room keeps, 10,000 at most.
            ttl: seconds for which a message is kept, 30 days at most.

        Raises:
            ConfigError: the numbers can't be used, the bus can't keep messages, or original servers are in the cluster
                (``Redis(compat=...)``).
            UsageError: the namespace is no name, or too long.

        Example::

            node.history("chat", size=100, ttl=300)
        """
        self._declare_history(namespace, size, ttl)

    def send(
        self, event: str, data: Any = None, *, to: str | Iterable[str] | None = None, include_self: bool = True
    ) -> None:
        """Send an event to nodes. Never waits; this node's own handler is called in the next turn of the event loop.

        May be called in any thread; see :meth:`Audience.send`.

        Args:
            event: its name.
            data: anything with a MessagePack form.
            to: names of nodes; None for all.
            include_self: whether this node gets it too, if it is one of them.

        Raises:
            InvalidPayload: ``data`` has no MessagePack form.
            UsageError: a name is empty or no string.
            BusUnavailable: the send buffer is full, and ``Redis(overflow="raise")`` is set.
            NotConnected: the node has not been started.
        """
        try:
            connection = self._connection()
        except WrongThread:
            self._thread_sends.to_nodes(self.send, names_of(to), event, data, include_self)
            return
        connection.requester.send(names_of(to), require_event(event), data, include_self=include_self)

    def call(
        self, name: str, event: str, data: Any = None, *, timeout: float = 5, type: TypeForm[T] = ANYTHING
    ) -> Coroutine[Any, Any, T]:
        """Send a request to a node and wait for the answer, when awaited. Misuse raises at once.

        Args:
            name: of the node; may be this one.
            event: its name.
            data: as for :meth:`send`.
            timeout: seconds, or ``math.inf``.
            type: the answer is decoded into it, as a payload into the annotation of a handler's data.

        Raises:
            NodeGone: the node is not alive, or died before it answered.
            CallTimeout: the node did not answer in time.
            EventError: the node refused; :exc:`InvalidPayload` if its answer does not fit; ``sender`` names the node.
            ConfigError: the type can't be decoded.
            BusUnavailable: other nodes can't be reached.
            InvalidPayload, UsageError, NotConnected: as :meth:`send`.
        """
        require_call(name, event, timeout)
        kind = ANY if type is ANYTHING else payload_type(type)
        current = self._current
        connection = current.connection
        if connection is None or get_ident() != current.thread:
            connection = self._connection()  # raises, unless the node is about to have joined
        return connection.requester.call(name, event, data, timeout, kind)

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
        """Send a request to nodes and wait for their answers.

        Args:
            event: its name.
            data: as for :meth:`send`.
            to: names of nodes; None for all.
            timeout: seconds; a node that has not answered by then, or that dies, is in ``missing``.
            expect: how many answers are enough; None for one from each node that is asked and alive.
            include_self: whether this node is asked too.
            type: each answer is decoded into it; an answer that does not fit is in ``errors``, as
                :exc:`InvalidPayload`.

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
        """Send a request to nodes and yield each answer as it comes; otherwise as :meth:`gather`.

        Example::

            replies = node.stream("price", {"item": "tea"})
            async for reply in replies:
                print(reply.sender, reply.data, reply.error)
            print("no answer from", replies.missing)
        """
        return self._connection().requester.stream(gather_request(event, data, to, timeout, expect, include_self, type))

    async def status(self) -> Replies[NodeStatus]:
        """Return what each living member has counted, by its name: connections, rooms, messages, gaps, its Redis.

        Raises:
            NotConnected: as :meth:`send`.
        """
        return await self._status.of_all()

    async def revoke(
        self, *, user: str | None = None, token_id: str | None = None, lifetime: float = TOKEN_LIFETIME
    ) -> Replies:
        """Revoke tokens on all servers: connections that began with them are closed with 4010, new ones are refused.

        Every node remembers it, and tells nodes that were cut off, as soon as they are back.

        Args:
            user: whose tokens: those that were issued up to now. The user may log in again, with a new one.
            token_id: the id of a token, such as the ``jti`` of a JWT; with ``user``, only if it is that user's.
            lifetime: seconds for which it is remembered: as long as a token lives at most.

        Returns:
            How many connections each server closed, by its name; nodes that could not be reached are in ``missing``.

        Raises:
            UsageError: neither is given, or one of them is empty, no string, or longer than 1,024 characters.
            ConfigError: the lifetime is no number of seconds.
            NotConnected: as :meth:`send`.
        """
        if user is None and token_id is None:
            raise UsageError("revoke(): give user=, token_id= or both")
        for value, what in ((user, "a user id"), (token_id, "the id of a token")):
            if value is not None and len(require_name(value, what)) > MAX_NAME:
                raise UsageError(f"revoke(): {what} has at most {MAX_NAME:,} characters")
        return await self.revocations.revoke(user, token_id, require_seconds("lifetime", lifetime))

    # Channels of the application

    async def subscribe(self, channel: str, handler: HandlerT) -> HandlerT:
        """Call a handler with ``(sender, data)`` for every message on a channel; return when this node is subscribed.

        Raises:
            UsageError, ConfigError: as :meth:`on`.
            BusUnavailable: the bus refuses the subscription; the handler is not kept.
            NotConnected: the node has not been started.
        """
        await self._channels.subscribe(self._connection(), channel, handler)
        return handler

    def unsubscribe(self, channel: str, handler: Handler | None = None) -> None:
        """Remove a handler from a channel, or all of its handlers."""
        if self.running:
            self._connection()  # raises in another thread
        self._channels.unsubscribe(channel, handler)

    def publish(self, channel: str, data: Any = None) -> None:
        """Publish a message on a channel, from any thread. Every subscriber receives it, including this node.

        Raises:
            InvalidPayload, UsageError, BusUnavailable, NotConnected: as :meth:`send`.
        """
        try:
            connection = self._connection()
        except WrongThread:
            self._thread_sends.publish(self.publish, channel, data)
            return
        self._channels.publish(connection, channel, data)

    # Members

    @property
    def nodes(self) -> dict[str, NodeInfo]:
        """The living members by name, including this node."""
        return self._connection().members.nodes

    def owner(self, namespace: str, id: str) -> str:
        """Return the name of the node that owns a room: any two words; nobody needs to be in it.

        The owner is chosen among the living members by rendezvous hashing. All nodes that know the same members choose
        the same owner, and when a node joins or leaves, only the rooms move that it gets or had. For a moment after
        that, two nodes may name different owners.

        Raises:
            NoOwner: no living member may own it, as ``owns`` says.
            UsageError, NotConnected: as :meth:`send`.
        """
        return self._connection().owners.owner(namespace, id)

    def watch_owner(self, namespace: str, id: str, handler: OwnerHandler) -> None:
        """Call a handler with an :class:`OwnerChange` each time a room gets another owner, until this node is stopped.

        Changes that come while an asynchronous handler of the room is at work are told as one when it has ended.

        Raises:
            UsageError, ConfigError: as :meth:`on`.
            NotConnected: the node has not been started.
        """
        self._connection().owners.watch(namespace, id, handler)

    def unwatch_owner(self, namespace: str, id: str, handler: OwnerHandler | None = None) -> None:
        """Stop calling a handler, or all handlers, when a room gets another owner."""
        self._connection().owners.unwatch(namespace, id, handler)

    @property
    def redis(self) -> RedisControl:
        """Status of the Redis in use, and methods to add and remove one.

        Raises:
            UsageError: the node has no Redis, as it is alone or has another bus.
        """
        if not isinstance(self._lifecycle.bus, Redis):
            raise UsageError(f"node {self.name!r} has no Redis: make it with redis=")
        return self._redis

    @property
    def gaps(self) -> int:
        """Number of times that messages might have been missed; ``on_gap`` has the details."""
        return self._lifecycle.connection_for_any_thread().port.gaps

    @property
    def dropped(self) -> int:
        """Number of messages to other nodes that are lost.

        The send buffer was full, a Redis refused them or was lost before it acknowledged them, or the node was stopped
        while they waited.
        """
        return self._lifecycle.connection_for_any_thread().dropped + self.thread_calls.lost

    @property
    def refused(self) -> int:
        """Number of messages that came over the bus and were not used, as they are not what they should be."""
        return self._lifecycle.connection_for_any_thread().unreadable

    # Audiences

    @property
    def everyone(self) -> Audience:
        """Every user that is connected to any server."""
        return self.audiences.everyone

    def user(self, id: str) -> Audience:
        """Return the audience of one user, wherever connected."""
        known = self._known_users.get(id) if type(id) is str else None
        return known or self.audiences.user(id)

    def users(self, ids: Iterable[str]) -> Audience:
        """Return the audience of some users; each is reached once, even if named twice."""
        return self.audiences.users(ids)

    def room(self, namespace: str, id: str) -> Room:
        """Return the audience of a room's members, wherever connected."""
        return self.audiences.room(namespace, id)

    async def list_rooms(self, namespace: str | None = None, *, prefix: str = "", limit: int = 1000) -> RoomList:
        """List the rooms that have members on any server, in order of their namespaces and ids.

        Args:
            namespace: of the rooms; None for all.
            prefix: the beginning of the ids of rooms that are listed.
            limit: number of rooms that are listed, at most 10,000; each server sends no more than these.

        Raises:
            UsageError, NotConnected: as :meth:`send`.
        """
        space = None if namespace is None else require_name(namespace, "a room's namespace")
        return await self._dispatcher.list_rooms(space, require_prefix(prefix), require_limit(limit))

    # Life

    async def start(self) -> None:
        """Join the cluster, and run the ``on_start`` hooks; events of other nodes wait until these have ended.

        If cancelled, the node leaves again. If no Redis can be reached, the node starts all the same, and joins as soon
        as a Redis can be reached.

        Raises:
            ConfigError: a living node has the name, an option can't work, or the node runs already.
            UsageError: the node was started in another event loop.
            NotConnected: the node was stopped meanwhile.
            Exception: an ``on_start`` handler raised it.
        """
        await self._lifecycle.start()

    async def stop(self, drain: float = 0) -> None:
        """Let handlers end, run the ``on_stop`` hooks, and leave the cluster. Does nothing if the node does not run.

        A node that is starting is stopped too. If cancelled, it hurries, and still does all of this.

        Args:
            drain: seconds that handlers get to end; then they are cancelled. 0 gives them a second.
        """
        await self._lifecycle.stop(drain)

    def run(self, *, drain: float = 10) -> None:
        """Run the node and block until SIGINT, which stops at once, or SIGTERM, which drains; a second one hurries.

        Uses uvloop if it is installed, and sets up logging unless the application has.

        Args:
            drain: as for :meth:`stop`, after a SIGTERM.

        Raises:
            UsageError: an event loop runs here already, or this is not the main thread.
            SystemExit: the ConfigError of :meth:`start` as a line; or another node has taken over the name.
            Exception: an ``on_start`` or ``on_stop`` handler raised it.
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
        """The dialects of the living members that do not understand this node's messages, by name."""
        return self._connection().members.incompatible

    @property
    def instruments(self) -> NodeInstruments:
        """Metrics and tracing of the node, which are attached before the start."""
        return self._instruments

    async def wait_for_members(self) -> None:
        """Wait until all members are known, also members that were slow to answer when this node joined.

        It takes no longer than the silence after which a member counts as dead.
        """
        await self._connection().members.joining.wait_for_all()

    async def wait_until_replaced(self) -> None:
        """Wait until another node has taken over this node's name; then this node must stop."""
        await self._lifecycle.wait_until_replaced()

    @property
    def bus(self) -> Bus | None:
        """The bus that carries the node's messages; None if the node is alone."""
        return self._lifecycle.bus

    def configure(self, *, name: str | None = None, redis: str | Collection[str] | Redis | None = None) -> None:
        """Change the name or the Redis of a node that has not been started.

        Raises:
            ConfigError: the node runs, or an option can't be used.
        """
        checked = None if name is None else require_node_name(name)
        self._lifecycle.configure(checked, chosen_bus(redis, None))
