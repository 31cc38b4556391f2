from __future__ import annotations

from typing import Any

import pytest

from crosswire.cluster.asking_nodes import AnswersTo, AskingNode
from crosswire.cluster.batches import Batches
from crosswire.cluster.memory import MemoryBus
from crosswire.cluster.ordered_port import OrderedPort
from crosswire.core import envelopes
from crosswire.core.envelopes import Answer, Batch, NodeRequest, RequestRefusal
from crosswire.errors import EventError, InvalidPayload
from tests.support.aio import wait_until
from tests.support.ignored_events import IgnoredPortEvents

CHANNEL = b"answers"


def request(number: int) -> NodeRequest:
    """Return the request of a node."""
    return NodeRequest("a", "0" * 16, f"call {number}", "ask", envelopes.pack(None))


async def test_answers_and_refusals_of_a_turn_go_to_the_asking_node_in_one_batch() -> None:
    bus, got = MemoryBus(), list[Any]()
    asker, port = (OrderedPort(bus, IgnoredPortEvents(), name, name.encode() * 8) for name in "ab")
    asker.subscribe(CHANNEL, lambda body: got.append(envelopes.decode(body)))
    for each in (asker, port):
        await each.start()
    way = AnswersTo(CHANNEL, "b", Batches(port))
    first, second, third = (AskingNode(request(number), way) for number in (1, 2, 3))
    second.answer({"sum": 6})
    first.refuse(EventError("full", "no room"))
    third.answer(None)
    await wait_until(lambda: got)
    sums, nothing = envelopes.pack({"sum": 6}), envelopes.pack(None)
    refusal = RequestRefusal("b", "call 1", "full", "no room")
    assert got == [Batch([Answer("b", "call 2", sums), refusal, Answer("b", "call 3", nothing)])]
    for each in (asker, port):
        await each.stop()


async def test_what_has_no_form_is_no_answer_and_spoils_no_other() -> None:
    port = OrderedPort(MemoryBus(), IgnoredPortEvents(), "b", b"b" * 8)
    batches = Batches(port)
    asking = AskingNode(request(1), AnswersTo(CHANNEL, "b", batches))
    for value in (object(), 2**70, "\ud800"):
        with pytest.raises(InvalidPayload):
            asking.answer(value)
    with pytest.raises(InvalidPayload):
        asking.refuse(EventError("full", "half a character: \ud800"))
    batches.flush()
    assert port.published == 0
    asking.answer(1)
    batches.flush()
    assert port.published == 1
    await port.stop()
