"""Sending of events and requests to nodes, and waiting for their answers."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine
from typing import Any, Protocol

from crosswire.cluster.bus_delay import PING
from crosswire.cluster.gather_request import GatherRequest
from crosswire.cluster.members import Members
from crosswire.cluster.native import NativeDialect
from crosswire.cluster.ordered_port import OrderedPort
from crosswire.cluster.requests import PendingGather, PendingRequest, PendingRequests
from crosswire.cluster.responder import Responder
from crosswire.cluster.streams import PendingStream, ReplyStream
from crosswire.core.codecs import Codec
from crosswire.core.envelopes import SERVICE
from crosswire.core.payload_types import PayloadType, RawPayload
from crosswire.errors import BusUnavailable, EventError, NodeGone, UsageError
from crosswire.runtime.loop_thread import running_loop
from crosswire.types import Replies


class RequestDialect(Protocol):
    """Part of a dialect that a requester uses, for the application's events and requests."""

    @property
    def codec(self) -> Codec:
        """Codec of the payloads of both."""
        ...

    @property
    def knows_members(self) -> bool:
        """Whether only members can answer."""
        ...

    def pack(self, data: Any) -> RawPayload:
        """Encode the data of an event; raises ``InvalidPayload``."""
        ...

    def send_event(self, to: Collection[str] | None, event: str, payload: RawPayload) -> None:
        """Send an event to other nodes; to all of them if ``to`` is None."""

    def send_request(self, to: Collection[str] | None, event: str, payload: RawPayload, call_id: str) -> None:
        """Send a request to other nodes; to all of them if ``to`` is None."""

    def send_call(self, name: str, event: str, data: Any, call_id: str) -> None:
        """Send a request to one other node; raises ``InvalidPayload``."""

    def send_own_answer(self, call_id: str, payload: RawPayload) -> None:
        """Publish this node's answer to its own request, if the dialect shows it to others."""


class NodeRequests(Protocol):
    """Sends the events and requests of one node: a :class:`Requester`, or what measures or traces one."""

    def send(self, to: Collection[str] | None, event: str, data: Any, *, include_self: bool) -> None:
        """Send an event to some nodes, or to all if ``to`` is None."""

    def call(self, name: str, event: str, data: Any, timeout: float, kind: PayloadType) -> Coroutine[Any, Any, Any]:
        """Send a request to one node and return its answer."""
        ...

    def gather(self, request: GatherRequest) -> Coroutine[Any, Any, Replies]:
        """Send a request to several nodes and return their answers."""
        ...

    def stream(self, request: GatherRequest) -> ReplyStream:
        """Send a request to several nodes and return their answers as a stream."""
        ...

    def gather_service(
        self, name: str, data: Any, timeout: float, *, servers: bool = True, to: Collection[str] | None = None
    ) -> Coroutine[Any, Any, Replies]:
        """Send a request to a service of all other servers, of all other nodes, or of those that ``to`` names."""
        ...

    def ping(self, name: str, timeout: float) -> Coroutine[Any, Any, Replies]:
        """Send a request to the service of one node that does nothing; wait for the answer, without raising."""
        ...


class Requester:
    """Sends the events and requests of one node.

    Args:
        name: of the node.
        port: the node's end of the bus.
        native: the dialect of requests to services.
        dialect: the dialect of the application's events and requests.
        members: the living nodes.
        requests: where requests wait for their answers.
        responder: handles what this node sends to itself.
    """

    __slots__ = ("_alive", "_bus", "_dialect", "_members", "_name", "_native", "_requests", "_responder")

    def __init__(
        self,
        name: str,
        port: OrderedPort,
        native: NativeDialect,
        dialect: RequestDialect,
        members: Members,
        requests: PendingRequests,
        responder: Responder,
    ) -> None:
        self._name = name
        self._bus = port.bus_port  # without a step more for each request
        self._native = native
        self._dialect = dialect
        self._members = members
        self._alive = members.others  # without two steps more for each request
        self._requests = requests
        self._responder = responder

    def send(self, to: Collection[str] | None, event: str, data: Any, *, include_self: bool) -> None:
        """Send an event to some nodes, or to all if ``to`` is None."""
        payload = self._dialect.pack(data)
        others = self._others(to)
        loop = running_loop()
        if others is None or others:
            self._dialect.send_event(others, event, payload)
        if self._includes_self(to, include_self):
            take = self._responder.event if to is not None else self._responder.own_event
            loop.call_soon(take, self._name, event, self._dialect.codec, payload)

    async def call(self, name: str, event: str, data: Any, timeout: float, kind: PayloadType) -> Any:
        """Send a request to one node and return its answer."""
        requests, is_own = self._requests, False
        if not self._bus.available or name not in self._alive:  # else it can be asked, as nearly always
            is_own = self._require_callable(name)
        call = requests.begin_call(name, event, timeout, kind)
        try:
            if is_own:
                self._request_self((name,), event, self._dialect.pack(data), call.id)
            else:
                self._dialect.send_call(name, event, data, call.id)
            return await call
        except BaseException:  # else the answer has ended the request
            requests.forget(call.id)
            raise

    def _require_callable(self, name: str) -> bool:
        """Check that a node can be asked; return whether it is this one.

        Raises:
            BusUnavailable: other nodes can't be reached.
            NodeGone: it is not alive.
        """
        if name == self._name:
            return True
        if not self._bus.available:
            raise BusUnavailable("other nodes can't be reached now: try again when the bus is back")
        if self._dialect.knows_members and name not in self._alive:
            raise NodeGone(name)
        return False

    async def gather(self, request: GatherRequest) -> Replies:
        """Send a request to several nodes and return their answers."""
        gather = PendingGather(self._asked(request), request.expect, request.kind)
        call_id = self._requests.begin(gather, request.timeout)
        try:
            self._send_request(gather, call_id, request)
            return await gather.future
        finally:
            self._requests.forget(call_id)

    def stream(self, request: GatherRequest) -> ReplyStream:
        """Send a request to several nodes and return their answers as a stream."""
        stream = PendingStream(self._asked(request), request.expect, request.kind)
        call_id = self._requests.begin(stream, request.timeout)

        def forget() -> None:
            self._requests.forget(call_id)

        try:
            self._send_request(stream, call_id, request)
        except BaseException:
            forget()
            raise
        return ReplyStream(stream, forget)

    def gather_service(
        self, name: str, data: Any, timeout: float, *, servers: bool = True, to: Collection[str] | None = None
    ) -> Coroutine[Any, Any, Replies]:
        """Send a request to a service of all other servers, of all other nodes, or of those that ``to`` names.

        Raises:
            InvalidPayload: the data has no form that can be sent; raised at once, before the request is sent.
        """
        nodes: Collection[str] = self._members.servers if servers else self._members.names
        if to is not None:
            nodes = [name for name in nodes if name in to]
        return self._gather_service(nodes, SERVICE + name, self._native.pack(data), timeout)

    def ping(self, name: str, timeout: float) -> Coroutine[Any, Any, Replies]:
        """Send a request to the service of one node that does nothing; wait for the answer, without raising."""
        return self._gather_service((name,), f"{SERVICE}{PING}", self._native.pack(None), timeout)

    async def _gather_service(self, nodes: Collection[str], event: str, payload: RawPayload, timeout: float) -> Replies:
        gather = PendingGather(nodes, None)
        call_id = self._requests.begin(gather, timeout)
        try:
            if not self._bus.available:
                _lose(gather, nodes)
            else:
                self._native.send_request(nodes, event, payload, call_id)
            if gather.settle():
                self._requests.forget(call_id)
            return await gather.future
        finally:
            self._requests.forget(call_id)

    def _send_request(self, pending: PendingGather | PendingStream, call_id: str, request: GatherRequest) -> None:
        payload = self._dialect.pack(request.data)
        others = self._others(request.to)
        reachable = self._bus.available
        if not reachable:
            _lose(pending, self._members.names if others is None else others)
        elif others is not None and self._dialect.knows_members:
            _lose(pending, [name for name in others if name not in self._members])
        if reachable and (others is None or others):
            self._dialect.send_request(others, request.event, payload, call_id)
        if self._includes_self(request.to, request.include_self):
            self._request_self(request.to, request.event, payload, call_id)
        if pending.settle():
            self._requests.forget(call_id)

    def _request_self(self, to: Collection[str] | None, event: str, payload: RawPayload, call_id: str) -> None:
        awaits_node = to is not None or self._dialect.knows_members
        asker = _OwnAsker(self._name, call_id, self._requests, self._dialect, awaits_node=awaits_node)
        loop = asyncio.get_running_loop()
        loop.call_soon(self._responder.request, asker, self._name, event, self._dialect.codec, payload)

    def _asked(self, request: GatherRequest) -> Collection[str]:
        """Return the names of the nodes that are asked, as far as they are known."""
        to, expect = request.to, request.expect
        if to is None and expect is None and not self._dialect.knows_members:
            raise UsageError("original servers are no members: say who is asked (to=) or how many answer (expect=)")
        names = dict.fromkeys(self._members.names if to is None else to)
        names.pop(self._name, None)
        return [*names, self._name] if self._includes_self(to, request.include_self) else list(names)

    def _others(self, to: Collection[str] | None) -> Collection[str] | None:
        return to if to is None else [name for name in dict.fromkeys(to) if name != self._name]

    def _includes_self(self, to: Collection[str] | None, include_self: bool) -> bool:
        return include_self and (to is None or self._name in to)


def _lose(request: PendingRequest, names: Collection[str]) -> None:
    for name in names:
        request.lost(name)


class _OwnAsker:
    """Passes this node's answer to a request of its own."""

    __slots__ = ("_call_id", "_dialect", "_name", "_requests", "awaits_node")

    def __init__(
        self, name: str, call_id: str, requests: PendingRequests, dialect: RequestDialect, *, awaits_node: bool
    ) -> None:
        self._name = name
        self._call_id = call_id
        self._requests = requests
        self._dialect = dialect
        self.awaits_node = awaits_node

    def answer(self, value: Any) -> None:
        payload = self._dialect.pack(value)
        self._dialect.send_own_answer(self._call_id, payload)
        self._requests.answered(self._name, self._call_id, self._dialect.codec, payload)

    def refuse(self, error: EventError) -> None:
        refusal = EventError(error.code, error.message, sender=self._name)
        self._requests.refused(self._name, self._call_id, refusal)
