"""The parts of a server that deal with its connections, and how they are connected."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from functools import partial

from crosswire.cluster.node import Node
from crosswire.core.event_policies import EventPolicies
from crosswire.core.formats import Format
from crosswire.core.limits import Heartbeat, Limits
from crosswire.core.listeners import EventListeners
from crosswire.core.pending_calls import CallIds
from crosswire.core.skipped_messages import SkippedMessages
from crosswire.rooms.fanout import FanOut, push_to_each
from crosswire.rooms.held_messages import PushAll
from crosswire.rooms.users import UserIndex
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.flusher import Flushable
from crosswire.runtime.slow_handlers import SlowHandlerWatch
from crosswire.runtime.thread_calls import ThreadCalls
from crosswire.runtime.timer_wheel import TimerWheel
from crosswire.runtime.workers import Workers
from crosswire.server.access_log import AccessLog
from crosswire.server.address_admission import address_admission
from crosswire.server.authentication import Authentication, Verdict
from crosswire.server.authorities import Authorities
from crosswire.server.client_calls import ClientCalls
from crosswire.server.client_factory import ClientFactory
from crosswire.server.connected_client import ClientParts, ConnectedClient
from crosswire.server.connection_setup import ConnectionSetup
from crosswire.server.delivery import LocalDelivery
from crosswire.server.drain import Drain
from crosswire.server.duplicates import DuplicatePolicy, Duplicates
from crosswire.server.failures import FailureReporter
from crosswire.server.handshake import Handshake
from crosswire.server.held_messages import HeldLimits
from crosswire.server.hook_runner import HookRunner
from crosswire.server.hooks import Hooks
from crosswire.server.observer import ServerObserver
from crosswire.server.received_messages import CountingRouter
from crosswire.server.registry import Registry
from crosswire.server.room_joins import RoomJoins
from crosswire.server.router import MessageRouter, Router
from crosswire.server.server_metrics import MeasuredClientCalls, ServerMetrics
from crosswire.server.session import Session
from crosswire.server.session_parts import SessionParts
from crosswire.server.sessions import Sessions
from crosswire.server.socket import Socket, SocketParts
from crosswire.server.socket_policies import SocketPolicies
from crosswire.server.subscriptions import Subscriptions


class ServerParts:
    """Makes and connects the parts of one server.

    Args:
        limits: of what clients may use.
        heartbeat: how dead peers are found.
        duplicates: which connection of a user stays.
        at_end_of_turn: calls ``flush`` of its argument at the end of the event loop's turn.
        watch: warns of handlers and hooks that hold the event loop.
        access_log: where connections and their ends are logged, or None.
        push_all: pushes the messages of a fan-out.

    Attributes:
        hooks: the application's.
        events: handlers of clients' events.
        tasks: where handlers and hooks run.
        workers: run the asynchronous handlers of events.
        wheel: has the timers of connections.
        failures: reports what handlers and hooks raise.
        sessions: all connections.
        registry: the connections by user and room.
        joins: lets connections into rooms, and out of them.
        router: hands the messages of clients to the handlers.
        drain: ends the connections when the server stops.
        authentication: the application's hook.
        authorities: the identities of connections.
        open_session: makes the session of a new connection.
    """

    def __init__(
        self,
        limits: Limits,
        heartbeat: Heartbeat,
        duplicates: Duplicates,
        at_end_of_turn: Callable[[Flushable], None],
        watch: SlowHandlerWatch | None = None,
        access_log: AccessLog | None = None,
        push_all: PushAll = push_to_each,
    ) -> None:
        self.hooks = Hooks()
        self.events = EventListeners(socket=Socket)
        self.tasks = BackgroundTasks(watch)
        self.workers = Workers(self.tasks, at_end_of_turn)
        self.wheel = TimerWheel()
        self.failures = FailureReporter(self.hooks.on_error, self.tasks)
        self.sessions = Sessions(limits.total_handlers, self.workers.waiting, address_admission(limits))
        self._call_ids = CallIds()
        self._fanout = FanOut(at_end_of_turn, push_all)
        self._skipped = SkippedMessages()
        users: UserIndex[ConnectedClient[Socket]] = UserIndex()
        self._subscriptions = Subscriptions()
        self._duplicates = DuplicatePolicy(duplicates, users, heartbeat.probe)
        self.registry: Registry[ConnectedClient[Socket]] = Registry(
            users, limits, self._fanout, self._subscriptions, self._duplicates
        )
        self._router = Router(self.events, self.hooks, limits, self.sessions.handlers, self.workers, self.failures)
        self.router: MessageRouter = self._router
        held = HeldLimits(limits)
        hooks = HookRunner(self.hooks, self.tasks, limits.handlers, held, self.failures)
        calls = ClientCalls(self._call_ids)
        self.authentication = Authentication()
        self.authorities = Authorities(self.authentication, calls, self.tasks, self.wheel, self.failures)
        self.joins = RoomJoins(
            self.registry, self._subscriptions, self._fanout, limits.outbox, replaces=duplicates != "allow"
        )
        self._client_factory = ClientFactory(
            ClientParts(self.registry, self._fanout, heartbeat, self.wheel, limits.calls),
            SocketParts(
                self.registry,
                self.joins,
                self._duplicates,
                calls,
                ThreadCalls(),
                SocketPolicies(EventPolicies(), self._skipped),
            ),
        )
        setup = ConnectionSetup(
            self.registry,
            self._duplicates,
            hooks,
            self.tasks,
            self.wheel,
            limits,
            self.failures,
            self.authorities,
        )
        self._session_parts = SessionParts(
            self._client_factory,
            setup,
            self.router,
            hooks,
            limits,
            held,
            heartbeat,
            self.wheel,
            self.sessions,
            access_log,
        )
        self.open_session: Callable[[Handshake, Format, Verdict, Context], Session] = partial(
            Session, self._session_parts
        )
        self._metrics: ServerMetrics | None = None
        self.drain = Drain(self.sessions, self.tasks, self.workers, self.wheel)

    def clients(self, name: Callable[[], str]) -> LocalDelivery:
        """Return the clients of the server for its node; ``name`` returns the name of the server."""
        self._delivery = LocalDelivery(
            name,
            self.registry,
            self._fanout,
            self.joins,
            self._duplicates,
            self._call_ids,
            self.sessions,
            self._skipped,
            self.authorities,
        )
        return self._delivery

    def observe(self, observer: ServerObserver) -> None:
        """Let tracing see what clients send from now on; to be called before the first connection."""
        self._router.observe(observer.answering)
        self.router = self._session_parts.router = observer.router(self.router)
        sockets = self._client_factory.socket_parts
        sockets.calls = observer.client_calls(sockets.calls)

    def measure(self) -> ServerMetrics:
        """Count from now on, and return the counts; to be called before the first connection."""
        if self._metrics is not None:
            return self._metrics
        self._metrics = metrics = ServerMetrics(
            self.registry, self.sessions, self.failures.losses, self._skipped, self.joins.recoveries
        )
        self._router.observe(metrics.answering)
        self.router = self._session_parts.router = CountingRouter(self.router, metrics.received)
        self._delivery.measure(metrics.sent)
        self._client_factory.encoder = metrics.sent.encoder
        sockets = self._client_factory.socket_parts
        sockets.calls = MeasuredClientCalls(sockets.calls, metrics.calls)
        return metrics

    def attach(self, node: Node) -> None:
        """Use the channels of this node from now on."""
        sockets = self._client_factory.socket_parts
        sockets.thread_calls = node.thread_calls
        sockets.policies = SocketPolicies(node.policies, self._skipped)
        self.authorities.revocations = node.revocations.table
        self._subscriptions.attach(node.client_channels)
        self._duplicates.attach(node.user_channels, self.tasks)
