"""One run of a node: its end of the bus, how it speaks, who it knows, and what it has asked."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Collection, Coroutine
from typing import Any, Protocol

from crosswire.cluster.client_channels import ClientChannels
from crosswire.cluster.clients import Clients
from crosswire.cluster.compat import Compat
from crosswire.cluster.dialect import Asker, Dialect
from crosswire.cluster.gathering import GatherRequest
from crosswire.cluster.hooks import NodeHooks
from crosswire.cluster.interface import Bus
from crosswire.cluster.members import Members
from crosswire.cluster.native import NativeDialect
from crosswire.cluster.ordered_port import OrderedPort
from crosswire.cluster.original import OriginalDialect
from crosswire.cluster.requests import Ask, Awaited, GatherAsk, OneAsk, PendingRequests, ReplyStream, StreamInbox
from crosswire.cluster.responder import Responder
from crosswire.core.channel_names import Channels
from crosswire.core.clock import HybridClock
from crosswire.core.envelopes import SERVICE
from crosswire.core.messages import Codec
from crosswire.core.payloads import PayloadType, RawPayload
from crosswire.errors import BusUnavailable, ConfigError, EventError, NodeGone, UsageError
from crosswire.runtime.loop_thread import running_loop
from crosswire.runtime.tasks import Tasks
from crosswire.types import GapInfo, LinkStatus, NodeInfo, Replies, SubscriptionFailure

logger = logging.getLogger("crosswire.cluster")


class ClusterConnection:
    """A node in the cluster, from its start to its end.

    Args:
        name: of the node.
        bus: what carries its messages.
        responder: of the application's events.
        services: of the nodes' own requests.
        clients: connected to this node.
        hooks: of the application.
        tasks: what runs in the background.
        compat: the options of the original's servers in the cluster; None where there are none.
        waits: whether the application's events are kept until :meth:`take_up`, also when the name is known to be ours.

    Attributes:
        port: the end of the bus.
        native: our own dialect, in which members speak of themselves and of what the original does not know.
        dialect: in which clients' messages and events are carried: the native one, or the original's.
        members: who is alive.
        clock: of the stamps.
        clients: connected to this node.
        client_channels: which a server keeps for its clients.
        alone: whether there can be no others.
        named: whether its name is known not to be another's, as far as that can be found out.
    """

    def __init__(
        self,
        name: str,
        bus: Bus,
        responder: Responder,
        services: Responder,
        clients: Clients,
        hooks: NodeHooks,
        tasks: Tasks,
        *,
        compat: Compat | None = None,
        waits: bool = False,
    ) -> None:
        self.name = name
        self.incarnation = secrets.token_hex(8)
        self.port = OrderedPort(bus, self, name, bytes.fromhex(self.incarnation))
        self.native = NativeDialect(self.port, Channels(bus.prefix), name, self.incarnation)
        self.dialect: Dialect = self.native
        self.clock = HybridClock(lambda: time.time_ns() // 1000)
        self.clients = clients
        self.named = False
        self.alone = False
        self._responder = responder
        self._services = services
        self._hooks = hooks
        self._tasks = tasks
        self._waits = waits
        # The original publishes answers to everybody: there, an id of ours must be nobody else's.
        self._asks = PendingRequests("" if compat is None else f"{self.incarnation}-")
        self.compat: OriginalDialect | None = None
        if compat is not None:
            self.dialect = self.compat = OriginalDialect(self.port, compat, name)
        self.client_channels = ClientChannels(self.native, self.dialect, self.port, self.clock, self.incarnation)
        own = NodeInfo(name, self.incarnation, time.time())
        self.members = Members(own, self.native, self.port, clients, self, self.clock, self.dialect.label)

    @property
    def refusals(self) -> int:
        """Messages that came and were not what they should be."""
        return self.port.refused + self.native.refused + (self.compat.refused if self.compat is not None else 0)

    # Life

    async def start(self) -> None:
        """Take part.

        Raises:
            ConfigError: the name is a living node's, or the options can't work.
        """
        for responder in (self._responder, self._services):
            responder.hold()  # until the name is known to be its own, what comes for it may be another's
        self.native.attend(self, self.members)
        if self.compat is not None:
            self.compat.listen(self._responder, self._asks)
        if self.clients.serves:
            self.native.serve(self.clients)
            if self.compat is not None:
                self.compat.serve(self.clients)
        await self.port.start()
        try:
            if self.port.available:
                await self._join()
        except BaseException as error:
            await self._go_back()
            if isinstance(error, BusUnavailable):  # it is an ACL that does not let it listen
                raise ConfigError(str(error)) from error
            raise
        self._be_named()
        self._tasks.start(self.members.keep_up(), "crosswire beats")

    async def _go_back(self) -> None:
        if self.members.announced:
            self.members.say_goodbye()
        await self.port.stop()

    async def leave(self) -> None:
        """Take part no more."""
        self._asks.end_all()
        self.native.flush()
        self.members.say_goodbye()
        await self.port.stop()

    def _needed(self) -> list[bytes]:
        """The channels that this node can't do without."""
        channels = [*self.native.own_channels, *(self.compat.own_channels if self.compat is not None else ())]
        if self.clients.serves:
            channels += self.native.client_channels
            channels += self.compat.client_channels if self.compat is not None else ()
        return channels

    async def _join(self) -> None:
        for channel in self._needed():
            await self.port.listening(channel)
        await self.members.claim_name()
        self._be_named()
        await self.members.introduce()

    def _be_named(self) -> None:
        """Begin to handle what comes: from now on others may know of this node."""
        self.named = True
        self._services.release()
        if not self._waits:
            self._responder.release()

    def take_up(self) -> None:
        """Handle the application's events, if they waited for this."""
        self._waits = False
        self._responder.release()

    # Asking

    def tell(self, to: Collection[str] | None, event: str, data: Any, *, include_self: bool) -> None:
        """Send nodes an event; ``to`` is None for all."""
        payload = self.dialect.pack(data)
        others = self._others(to)
        loop = running_loop()
        if others is None or others:
            self.dialect.tell(others, event, payload)
        if self._includes_self(to, include_self):
            take = self._responder.event if to is not None else self._responder.own_event
            loop.call_soon(take, self.name, event, self.dialect.codec, payload)

    async def call(self, name: str, event: str, data: Any, timeout: float, kind: PayloadType) -> Any:
        """Ask one node."""
        payload = self.dialect.pack(data)
        loop = asyncio.get_running_loop()
        ask = OneAsk(name, event, timeout, loop, kind)
        if name != self.name:
            if not self.port.available:
                raise BusUnavailable("no Redis can be reached, so no other node can: try again when one is back")
            if self.dialect.knows_members and name not in self.members:
                raise NodeGone(name)
        call_id = self._asks.begin(ask, timeout, loop)
        try:
            if name == self.name:
                self._ask_self((name,), event, payload, call_id)
            else:
                self.dialect.ask((name,), event, payload, call_id)
            return await ask.future
        finally:
            self._asks.forget(call_id)

    async def gather(self, question: GatherRequest) -> Replies:
        """Ask several nodes."""
        ask = GatherAsk(self._awaited(question), question.expect, question.kind)
        call_id = self._asks.begin(ask, question.timeout)
        try:
            self._ask(ask, call_id, question)
            return await ask.future
        finally:
            self._asks.forget(call_id)

    def stream(self, question: GatherRequest) -> ReplyStream:
        """Ask several nodes; give each answer as it comes."""
        inbox = StreamInbox(self._awaited(question), question.kind)
        call_id = self._asks.begin(inbox, question.timeout)

        def forget() -> None:
            self._asks.forget(call_id)

        try:
            self._ask(inbox, call_id, question)
        except BaseException:
            forget()
            raise
        return ReplyStream(inbox, forget)

    def gather_service(
        self, name: str, data: Any, timeout: float, *, servers: bool = True
    ) -> Coroutine[Any, Any, Replies]:
        """Ask all other servers, or all other nodes, something that nodes ask each other by themselves.

        Raises:
            InvalidPayload: the data has no form that can be sent; at once, and nobody is asked.
        """
        asked = self.members.servers if servers else self.members.names
        return self._gather_service(asked, SERVICE + name, self.native.pack(data), timeout)

    async def _gather_service(self, asked: Collection[str], event: str, payload: RawPayload, timeout: float) -> Replies:
        ask = GatherAsk(Awaited(asked, None), None)
        call_id = self._asks.begin(ask, timeout)
        try:
            if not self.port.available:
                self._lose(ask, asked)
            else:
                self.native.ask(asked, event, payload, call_id)
            if ask.settle():
                self._asks.forget(call_id)
            return await ask.future
        finally:
            self._asks.forget(call_id)

    def _ask(self, ask: Settling, call_id: str, question: GatherRequest) -> None:
        payload = self.dialect.pack(question.data)
        others = self._others(question.to)
        reachable = self.port.available
        if not reachable:
            self._lose(ask, self.members.names if others is None else others)
        elif others is not None and self.dialect.knows_members:
            self._lose(ask, [name for name in others if name not in self.members])
        if reachable and (others is None or others):
            self.dialect.ask(others, question.event, payload, call_id)
        if self._includes_self(question.to, question.include_self):
            self._ask_self(question.to, question.event, payload, call_id)
        if ask.settle():
            self._asks.forget(call_id)

    def _ask_self(self, to: Collection[str] | None, event: str, payload: RawPayload, call_id: str) -> None:
        awaits_node = to is not None or self.dialect.knows_members
        asker = _Self(self.name, call_id, self._asks, self.dialect, awaits_node=awaits_node)
        loop = asyncio.get_running_loop()
        loop.call_soon(self._responder.request, asker, self.name, event, self.dialect.codec, payload)

    def _awaited(self, question: GatherRequest) -> Awaited:
        """Who is to answer, as far as it is known."""
        to, expect = question.to, question.expect
        if to is None and expect is None and not self.dialect.knows_members:
            raise UsageError("original servers are no members: say who is asked (to=) or how many answer (expect=)")
        names = set(self.members.names if to is None else to)
        if self._includes_self(to, question.include_self):
            return Awaited(names | {self.name}, expect)
        return Awaited(names - {self.name}, expect)

    def _others(self, to: Collection[str] | None) -> Collection[str] | None:
        return to if to is None else [name for name in dict.fromkeys(to) if name != self.name]

    def _includes_self(self, to: Collection[str] | None, include_self: bool) -> bool:
        return include_self and (to is None or self.name in to)

    @staticmethod
    def _lose(ask: Ask, names: Collection[str]) -> None:
        for name in names:
            ask.lost(name)

    # NodeInbox

    def event(self, sender: str, event: str, codec: Codec, payload: RawPayload) -> None:
        """Take an event of a node, or of its user."""
        if event.startswith(SERVICE):
            self._services.event(sender, event[len(SERVICE) :], codec, payload)
        else:
            self._responder.event(sender, event, codec, payload)

    def request(self, asker: Asker, sender: str, event: str, codec: Codec, payload: RawPayload) -> None:
        """Take a request of a node, or of its user."""
        if event.startswith(SERVICE):
            self._services.request(asker, sender, event[len(SERVICE) :], codec, payload)
        else:
            self._responder.request(asker, sender, event, codec, payload)

    def answered(self, sender: str, call_id: str, codec: Codec, payload: RawPayload) -> None:
        """Take an answer."""
        self._asks.answered(sender, call_id, codec, payload)

    def refused(self, sender: str, call_id: str, error: EventError) -> None:
        """Take a refusal."""
        self._asks.refused(sender, call_id, error)

    # MembershipEvents

    def joined(self, info: NodeInfo) -> None:
        """A node is there."""
        self._hooks.fire_join(info)
        self._hooks.on_newcomer(info.name)

    def left(self, info: NodeInfo, reason: str) -> None:
        """A node is gone."""
        self._asks.gone(info.name)
        self._hooks.fire_leave(info, reason)

    def replaced(self) -> None:
        """Another node has this node's name now: two of one name would answer for each other."""
        self._hooks.on_replaced()

    # PortEvents

    def paths_changed(self) -> None:
        """This node listens on other Redis than before."""
        self.members.beat_now()

    def path_lost(self, path: str) -> None:
        """A Redis is gone."""
        self.members.path_lost(path)

    def restored(self) -> None:
        """A Redis is back, after none was there."""
        self._tasks.start(self._return(), "crosswire return")

    def gap(self, info: GapInfo) -> None:
        """Messages may have been missed."""
        self._hooks.fire_gap(info)

    def health_changed(self, status: LinkStatus) -> None:
        """A Redis became healthy, or is not any more."""
        self._hooks.fire_redis_health(status)

    def subscription_failed(self, failure: SubscriptionFailure) -> None:
        """A channel can't be heard on a Redis."""
        self._hooks.fire_subscription_error(failure)

    async def _return(self) -> None:
        """Find the others again; a node that has never met them sees first that its name is its own."""
        self.members.excuse()
        try:
            if self.members.admitted:
                self.members.beat_now(asks=True)
            else:
                await self._join()
        except ConfigError:
            self.replaced()
        except BusUnavailable as error:
            logger.warning("node %r can't join the cluster: %s", self.name, error)
        else:
            self.clients.restored()


class Settling(Ask, Protocol):
    """An ask that can be over before anybody answered."""

    def settle(self) -> bool:
        """End if nothing more is to be waited for; tell whether it did."""
        ...


class _Self:
    """This node, which asked itself."""

    __slots__ = ("_asks", "_call_id", "_dialect", "_name", "awaits_node")

    def __init__(self, name: str, call_id: str, asks: PendingRequests, dialect: Dialect, *, awaits_node: bool) -> None:
        self._name = name
        self._call_id = call_id
        self._asks = asks
        self._dialect = dialect
        self.awaits_node = awaits_node

    def answer(self, value: Any) -> None:
        """Answer."""
        payload = self._dialect.pack(value)
        self._dialect.own_answer(self._call_id, payload)
        self._asks.answered(self._name, self._call_id, self._dialect.codec, payload)

    def refuse(self, error: EventError) -> None:
        """Refuse."""
        refusal = EventError(error.code, error.message, sender=self._name)
        self._asks.refused(self._name, self._call_id, refusal)
