from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from crosswire.cluster.dialect import AskedRequest, Asker, MemberInbox
from crosswire.cluster.memory import MemoryBus
from crosswire.cluster.native import NativeDialect
from crosswire.cluster.ordered_port import OrderedPort
from crosswire.core import envelopes
from crosswire.core.channel_names import Channels
from crosswire.core.envelopes import Answer, Batch, Event, EventMessage, NodeRequest, RequestRefusal
from crosswire.errors import EventError
from tests.support.aio import wait_until
from tests.support.ignored_events import IgnoredPortEvents

NULL = envelopes.pack(None)


class Node:
    """A node that notes what comes on its channel, in its order."""

    def __init__(self, bus: MemoryBus, name: str) -> None:
        self.port = OrderedPort(bus, IgnoredPortEvents(), name, name.encode() * 8)
        self.channels = Channels("cw:")
        self.native = NativeDialect(self.port, self.channels, name, name * 16)
        self.native.listen_to_nodes(self, self, cast(MemberInbox, self))  # no message is about membership
        self.got: list[Any] = []

    def say(self, name: str, *messages: EventMessage) -> None:
        self.port.publish(self.channels.node(name), envelopes.encode(Batch(list(messages))))

    def event(self, sender: str, event: str, *_rest: Any, **_more: Any) -> None:
        self.got.append(event)

    def request(self, asker: Asker, *_request: Any, **_more: Any) -> None:
        raise AssertionError("requests of nodes come together")

    def all_requested(self, asked: Sequence[AskedRequest]) -> None:
        self.got.extend(each.request.call_id for each in asked)

    def answered(self, sender: str, call_id: str, *_rest: Any, **_more: Any) -> None:
        self.got.append(call_id)

    def all_answered(self, answers: Sequence[Answer]) -> None:
        self.got.append([each.call_id for each in answers])

    def refused(self, sender: str, call_id: str, error: EventError) -> None:
        self.got.append((call_id, error.code))


def request(call_id: str, asker: str = "a" * 16) -> NodeRequest:
    """Return a request of a node."""
    return NodeRequest("a", asker, call_id, "ask", NULL)


async def test_messages_of_a_batch_are_taken_in_their_order() -> None:
    bus = MemoryBus()
    a, b = Node(bus, "a"), Node(bus, "b")
    for node in (a, b):
        await node.port.start()
    a.say("b", request("1"), request("2"))
    a.say("b", Answer("a", "3", NULL), Answer("a", "4", NULL))
    a.say("b", request("5"), Event("a", "6", NULL), Answer("a", "7", NULL), RequestRefusal("a", "8", "full", ""))
    a.say("b", Event("a", "9", NULL), Event("a", "10", NULL))
    a.say("b")
    a.say("b", request("11"))
    await wait_until(lambda: "11" in b.got)
    assert b.got == ["1", "2", ["3", "4"], "5", "6", "7", ("8", "full"), "9", "10", "11"]
    assert b.native.unreadable == 0
    for node in (a, b):
        await node.port.stop()


async def test_a_request_that_no_node_can_have_sent_is_counted_and_spoils_no_other() -> None:
    bus = MemoryBus()
    a, b = Node(bus, "a"), Node(bus, "b")
    for node in (a, b):
        await node.port.start()
    a.say("b", request("1"), request("2", asker="x"), request("3"))
    a.say("b", request("4", asker=""))
    a.say("b", request("5"))
    await wait_until(lambda: "5" in b.got)
    assert b.got == ["1", "3", "5"]
    assert b.native.unreadable == 2
    for node in (a, b):
        await node.port.stop()
