"""The connection of a node to its cluster, from one start of the node to its stop."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from crosswire.cluster.client_channels import ClientChannels
from crosswire.cluster.clients import Clients
from crosswire.cluster.compat import Compat
from crosswire.cluster.dialect import Dialect
from crosswire.cluster.history.declarations import Declarations
from crosswire.cluster.history.histories import Histories
from crosswire.cluster.hooks import NodeHooks
from crosswire.cluster.interface import Bus
from crosswire.cluster.life_checks import LifeChecks
from crosswire.cluster.members import Members
from crosswire.cluster.native import NativeDialect
from crosswire.cluster.observer import NodeObserver
from crosswire.cluster.original import OriginalDialect
from crosswire.cluster.owners import Owners
from crosswire.cluster.requester import NodeRequests, RequestDialect, Requester
from crosswire.cluster.requests import PendingRequests
from crosswire.cluster.responders import Responders
from crosswire.cluster.signed_port import port_of
from crosswire.core.channel_names import Channels
from crosswire.core.clock import HybridClock
from crosswire.errors import BusUnavailable, ConfigError
from crosswire.runtime import environment
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.log_records import get_logger
from crosswire.types import GapInfo, LinkStatus, NodeInfo, SubscriptionFailure

logger = get_logger("crosswire.cluster")

_MAX_SILENCED = 100
"""Maximum number of nodes that fell silent and are recognised when they are heard again."""


class ClusterConnection:
    """Joins a node to its cluster, keeps it there, and takes it out.

    Args:
        name: of the node.
        bus: carries the node's messages.
        responders: handle events and requests of other nodes.
        clients: the clients that are connected to this node.
        hooks: of the application.
        tasks: where background tasks run.
        declarations: the namespaces that keep history.
        compat: the options of the original's servers in the cluster; None if there are none.
        observers: measure or trace the node.
        holds_events: whether the application's events are held until :meth:`release_events`. If not, they are held
            only until the name is known to be this node's.
        owns: the namespaces whose rooms this node may own; None for all.
        keys: with which messages between nodes are signed; empty if they are not.
        is_redundant: whether the bus publishes each message on two paths.
        alone: whether there can be no other nodes.

    Attributes:
        began: when it was made, in seconds of a monotonic clock.
        port: the node's end of the bus.
        native: Crosswire's own dialect; beats and requests to services always use it.
        compat: the original's dialect; None if there are no original servers.
        dialect: the dialect of messages for clients and of the application's events: the native one or the original's.
        members: the living nodes.
        owners: of the rooms.
        requester: sends the node's events and requests.
        client_channels: the channels of the node's clients.
        histories: of the rooms that keep one.
        alone: whether there can be no other nodes.
        to_user: publishes the JSON of a message for a user, where that is all that is to be done; None where there can
            be no other nodes, or original servers.
        owns_name: whether no other node is known to have this node's name.
    """

    def __init__(
        self,
        name: str,
        bus: Bus,
        responders: Responders,
        clients: Clients,
        hooks: NodeHooks,
        tasks: BackgroundTasks,
        declarations: Declarations,
        *,
        compat: Compat | None = None,
        observers: Sequence[NodeObserver] = (),
        holds_events: bool = False,
        owns: tuple[str, ...] | None = None,
        keys: Sequence[bytes] = (),
        is_redundant: bool = False,
        alone: bool = False,
    ) -> None:
        self.name = name
        self.incarnation = environment.token_hex(8)
        self.began = environment.monotonic()
        self.port = port_of(bus, self, name, bytes.fromhex(self.incarnation), keys)
        self._channels = Channels(bus.prefix)
        self.native = NativeDialect(self.port, self._channels, name, self.incarnation)
        self.dialect: Dialect = self.native
        self.alone = alone
        self.owns_name = False
        self._leaving = False  # then no more tasks are started
        self._joins = 0  # that have begun; only the last of them goes on
        self._clients = clients
        self._responders = responders
        self._hooks = hooks
        self._tasks = tasks
        self._declarations = declarations
        self._holds_events = holds_events
        self._silenced: deque[str] = deque(maxlen=_MAX_SILENCED)
        # The original publishes answers to everybody: among original servers, ids must be unique in the cluster.
        self._requests = PendingRequests("" if compat is None else f"{self.incarnation}-")
        self.compat: OriginalDialect | None = None
        if compat is not None:
            self.dialect = self.compat = OriginalDialect(self.port, compat, name)
        self.to_user = None if alone or compat is not None else self.native.to_user
        clock = HybridClock(_real_microseconds, _steady_microseconds)
        own = NodeInfo(name, self.incarnation, environment.wall_time())
        checks = LifeChecks(self.native, self.port, self._requests)
        self.members = Members(
            own,
            self.native,
            self.port,
            clients,
            self,
            clock,
            self.dialect.label,
            declarations,
            owns,
            checks=checks,
            tasks=tasks,
        )
        self.owners = Owners(self.members, hooks, tasks)
        self.histories = Histories(
            name,
            self.port,
            self.native,
            clients,
            declarations,
            self.members,
            lambda: self.requester.gather_service,
            tasks,
            keys,
            has_original=compat is not None,
            is_redundant=is_redundant,
        )
        self.client_channels = ClientChannels(
            self.native, self.dialect, self.port, clock, self.incarnation, self.histories, alone=alone
        )
        dialect: RequestDialect = self.dialect
        for observer in observers:
            dialect = observer.dialect(dialect)
        self.requester: NodeRequests = Requester(
            name, self.port, self.native, dialect, self.members, self._requests, responders.application
        )
        for observer in observers:
            self.requester = observer.requests(self.requester)
        self._observers = observers

    @property
    def dropped(self) -> int:
        """Number of messages to other nodes that are lost, for any reason."""
        return self.port.dropped + self.native.dropped + self.histories.dropped

    @property
    def unreadable(self) -> int:
        """Number of messages that were received and could not be read."""
        return (
            self.port.unreadable + self.native.unreadable + (self.compat.unreadable if self.compat is not None else 0)
        )

    # Life

    async def start(self) -> None:
        """Join the cluster, and stay in it.

        Raises:
            ConfigError: a living node has the name, or the options can't work.
        """
        self._responders.hold()  # until the name is known to be this node's: requests may be meant for another node
        self._declarations.begin()
        self._declarations.changed = self._history_changed
        self.histories.check()
        self.native.listen_to_nodes(self._responders, self._requests, self.members)
        if self.compat is not None:
            self.compat.listen_to_nodes(self._responders.application, self._requests)
        if self._clients.serves:
            self.native.listen_for_clients(self._clients)
            if self.compat is not None:
                self.compat.listen_for_clients(self._clients)
        await self.port.start()
        try:
            await self.histories.start()
            if self.port.available:
                await self._join()
            await self.histories.start()  # what the other nodes have declared is known now
        except BaseException as error:
            await self._abandon()
            if isinstance(error, BusUnavailable):  # an ACL forbids a channel
                raise ConfigError(str(error)) from error
            raise
        self._begin_handling()
        self._tasks.start(self.members.run(), "crosswire beats")
        for observer in self._observers:
            for watch in observer.watches(self.requester, self.members):
                self._tasks.start(watch, "crosswire metrics")

    def end_checks(self) -> None:
        """Begin no more checks of other nodes, as the tasks in the background are cancelled next."""
        self.members.end_checks()

    async def _abandon(self) -> None:
        self._declarations.end()
        self.end_checks()
        self._responders.alive = False
        await self.histories.stop()
        if self.members.announced:
            self.members.announce_leave()
        await self.port.stop()

    async def leave(self) -> None:
        """Leave the cluster, and disconnect from the bus; if this is cancelled, without waiting for logs of rooms."""
        self._leaving = True
        self._declarations.end()
        try:
            await self.histories.stop()
        finally:
            self._requests.end_all()
            self.owners.unwatch_all()
            self._responders.alive = False
            self.native.flush()
            self.members.announce_leave()
            await self.port.stop()

    def _required_channels(self) -> list[bytes]:
        """List the channels without which this node can't join."""
        channels = [*self.native.own_channels, *(self.compat.own_channels if self.compat is not None else ())]
        if self._clients.serves:
            channels += self.native.client_channels
            channels += self.compat.client_channels if self.compat is not None else ()
        return channels

    async def _join(self) -> None:
        """Join the cluster. If the bus is lost meanwhile, stop that: the node joins when the bus is back."""
        self._joins = number = self._joins + 1
        for channel in self._required_channels():
            await self.port.wait_listening(channel)
        await self.members.joining.claim_name()
        if not self.port.available or number != self._joins:  # who has the name might not have been heard
            return
        self._begin_handling()
        await self.members.joining.introduce()

    def _history_changed(self, namespaces: set[str]) -> None:
        """Keep the history of more rooms, and let all nodes know of it at once."""
        self.histories.changed(namespaces)
        self.members.send_beat()

    def _begin_handling(self) -> None:
        """Handle events and requests from now on, as other nodes may know of this node."""
        self.owns_name = True
        self._responders.services.release()
        if not self._holds_events:
            self._responders.application.release()

    def release_events(self) -> None:
        """Handle the application's events that were held, and from now on new ones at once."""
        self._holds_events = False
        self._responders.application.release()

    # MembershipEvents

    def joined(self, info: NodeInfo) -> None:
        """Run the application's hook ``on_join``, and send the new node the list of the Redis that were added."""
        self.owners.members_changed()
        self._hooks.fire_join(info)
        if not self._leaving:
            self._hooks.on_newcomer(info.name)
        if info.incarnation in self._silenced:
            self._silenced.remove(info.incarnation)
            self._clients.restored()  # it was alive all the time, and its users may be connected here too

    def left(self, info: NodeInfo, reason: str) -> None:
        """Fail the requests that wait for the node's answers, and run the hook ``on_leave``."""
        self._requests.gone(info.name)
        self.histories.node_left(info.name)
        if reason == "timeout":
            self._silenced.append(info.incarnation)
        self.owners.members_changed()
        self._hooks.fire_leave(info, reason)

    def replaced(self) -> None:
        """Record that another node has taken over this node's name."""
        self._responders.alive = False
        self._hooks.on_replaced()

    # BusEvents

    def paths_changed(self) -> None:
        """Send a beat, which tells other nodes on which paths this node listens now."""
        self.members.send_beat()
        self.histories.compare()

    def path_lost(self, path: str) -> None:
        """Stop relying on a path that is gone."""
        self.members.path_lost(path)

    def restored(self) -> None:
        """Join the cluster again, in the background, after no other node could be reached."""
        self._tasks.start(self._rejoin(), "crosswire rejoin")

    def gap(self, info: GapInfo) -> None:
        """Run the application's hook ``on_gap``, with the user or the room whose messages might have been missed."""
        if info.channel is not None:
            info = info._replace(user=self._channels.user_of(info.channel), room=self._channels.room_of(info.channel))
        self.histories.compare()
        self._hooks.fire_gap(info)
        if not self._leaving:
            self._hooks.on_missed()

    def health_changed(self, status: LinkStatus) -> None:
        """Run the application's hook ``on_bus_health``."""
        self._hooks.fire_bus_health(status)

    def subscription_failed(self, failure: SubscriptionFailure) -> None:
        """Run the application's hook ``on_subscription_error``."""
        self._hooks.fire_subscription_error(failure)

    async def _rejoin(self) -> None:
        """Send a beat that other nodes answer, or join the cluster if that was not possible before."""
        self.members.reset_silence()
        try:
            if self.members.admitted:
                self.members.send_beat(asks=True)
            else:
                await self._join()
        except ConfigError:
            self.replaced()
        except BusUnavailable as error:
            logger.warning("node %r can't join the cluster: %s", self.name, error)
        else:
            self._clients.restored()
            self._hooks.on_missed()


def _real_microseconds() -> int:
    return int(environment.wall_time() * 1_000_000)


def _steady_microseconds() -> int:
    return int(environment.monotonic() * 1_000_000)
