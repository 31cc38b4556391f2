"""The parts of a node, and how they are connected."""

from __future__ import annotations

from collections.abc import Collection

from crosswire.cluster.bus_options import compat_options, is_redundant, signing_keys
from crosswire.cluster.clients import Clients, NoClients
from crosswire.cluster.connection import ClusterConnection
from crosswire.cluster.dispatcher import ClusterDispatcher, offer_services
from crosswire.cluster.history.declarations import Declarations, require_history
from crosswire.cluster.history.void_notices import SERVICE_NAME, VoidNotice
from crosswire.cluster.hooks import NodeHooks
from crosswire.cluster.instruments import NodeInstruments
from crosswire.cluster.interface import Bus
from crosswire.cluster.known_servers import offer_known_servers
from crosswire.cluster.lifecycle import NodeLifecycle
from crosswire.cluster.lists import offer_lists
from crosswire.cluster.memory import MemoryBus
from crosswire.cluster.pubsub import CustomChannels
from crosswire.cluster.redis.control import RedisControl
from crosswire.cluster.responder import Responder
from crosswire.cluster.responders import Responders
from crosswire.cluster.revocations import Revocations
from crosswire.cluster.status import StatusQueries
from crosswire.cluster.thread_sends import ThreadSends
from crosswire.core.audience import Audiences
from crosswire.core.event_policies import EventPolicies
from crosswire.core.listeners import EventListeners
from crosswire.core.options import require_node_name
from crosswire.core.ownership import require_owns
from crosswire.errors import ConfigError
from crosswire.runtime import environment
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.slow_handlers import slow_handler_watch
from crosswire.runtime.thread_calls import ThreadCalls


class NodeParts:
    """Makes and connects the parts of one node.

    Args:
        name: of the node; random if None.
        bus: carries the node's messages; None for a node that is alone.
        clients: the clients of the node; None for a node that is no server.
        slow_handler: seconds after which a handler that holds the event loop is logged; None to log none.
        owns: the namespaces whose rooms the node may own; None for all.

    Attributes:
        events: the handlers of nodes' events.
        hooks: of the application.
        channels: the application's own channels.
        redis: control of the Redis in use.
        lifecycle: starts and stops the node.
        instruments: where metrics and tracing are attached.
        thread_calls: the calls of other threads.
        thread_sends: sends for other threads.
        policies: of events, for connections whose clients read too slowly.
        dispatcher: carries out what concerns all nodes.
        status: of all nodes.
        audiences: users and rooms, wherever they are connected.
        revocations: of tokens, on all nodes.
        declarations: the namespaces that keep history.
    """

    def __init__(
        self,
        name: str | None,
        bus: Bus | None,
        clients: Clients | None,
        slow_handler: float | None,
        owns: Collection[str] | None,
    ) -> None:
        name = f"node-{environment.token_hex(4)}" if name is None else require_node_name(name)
        handlers = BackgroundTasks(slow_handler_watch(slow_handler))
        self._background = BackgroundTasks()
        self._owns = require_owns(owns)
        self._clients = clients = NoClients() if clients is None else clients
        self.events = EventListeners(sender=str)
        services = EventListeners(sender=str)
        self._responders = Responders(
            Responder(self.events, handlers), Responder(services, handlers, warn_unhandled=False)
        )
        self.channels = CustomChannels(handlers)
        self.declarations = Declarations()
        self.redis = RedisControl(lambda: self.lifecycle.connection_or_starting())
        self.revocations = Revocations(clients, lambda: self.lifecycle.connection_or_starting(), self._background)
        self.hooks = NodeHooks(
            handlers, lambda: self.lifecycle.replaced(), self._welcome, lambda: self.revocations.exchange_with(None)
        )
        self.thread_calls = ThreadCalls()
        self.lifecycle = NodeLifecycle(
            name,
            bus,
            self._connect,
            self._responders,
            handlers,
            self._background,
            self.channels,
            self.hooks,
            self.thread_calls,
        )
        self.instruments = NodeInstruments(self.lifecycle, self._responders.application)
        self.thread_sends = ThreadSends(self.thread_calls, self.lifecycle.connection_for_any_thread)
        self.policies = EventPolicies()
        lifecycle = self.lifecycle
        self.dispatcher = ClusterDispatcher(
            clients, lifecycle.connection, lifecycle.current, self.thread_sends, self.policies
        )
        self.audiences = Audiences(self.dispatcher)
        offer_services(services, clients)
        offer_lists(services, clients)
        offer_known_servers(services, clients, self.lifecycle.connection_or_starting)
        self.status = StatusQueries(clients, self.lifecycle.connection_or_starting)
        self.status.offer(services)
        self.redis.offer(services)
        self.revocations.offer(services)
        services.on(SERVICE_NAME, self._take_void_notice)

    def declare_history(self, namespace: str, size: int, ttl: float) -> None:
        """Declare that the rooms of a namespace keep history; see ``Node.history``."""
        name, options = require_history(namespace, size, ttl)
        if (bus := self.lifecycle.bus) is not None and compat_options(bus) is not None:
            raise ConfigError(f"history({name!r}): no history in a cluster with original servers, Redis(compat=...)")
        if self.lifecycle.running:
            self.lifecycle.connection().histories.require_log()
        self.declarations.declare(name, options)

    def _take_void_notice(self, sender: str, notice: VoidNotice) -> None:
        """Take a notice of another node."""
        self.lifecycle.connection_or_starting().histories.take_notice(sender, notice)

    def _welcome(self, name: str) -> None:
        """Tell a node that has joined what only messages before have said."""
        self.redis.welcome(name)
        self.revocations.exchange_with(name)
        self.lifecycle.connection_or_starting().histories.welcome(name)

    def _connect(self, name: str, bus: Bus | None) -> ClusterConnection:
        alone = bus is None
        bus = MemoryBus() if bus is None else bus
        return ClusterConnection(
            name,
            bus,
            self._responders,
            self._clients,
            self.hooks,
            self._background,
            self.declarations,
            compat=compat_options(bus),
            keys=signing_keys(bus),
            observers=self.instruments.observers,
            holds_events=bool(self.hooks.on_start),
            owns=self._owns,
            is_redundant=is_redundant(bus),
            alone=alone,
        )
