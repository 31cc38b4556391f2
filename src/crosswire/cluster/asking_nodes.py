"""The requests of other nodes, with what their answers need."""

from __future__ import annotations

from typing import Any

import msgspec

from crosswire.cluster.batches import MAX_APPENDED, Batches
from crosswire.core.envelopes import UNENCODABLE, NodeRequest, RequestRefusal, encode, no_form
from crosswire.core.utf8 import has_utf8
from crosswire.errors import EventError, InvalidPayload


class AnswersTo(msgspec.Struct, frozen=True):
    """The way of this node's answers to another node, or to an emitter.

    Attributes:
        channel: on which the other one listens for answers.
        name: of this node.
        batches: take the answers.
    """

    channel: bytes
    name: str
    batches: Batches


class AskingNode(msgspec.Struct, gc=False):
    """A request of another node, and the way of its answer: an :class:`~crosswire.cluster.dialect.Asker`.

    Attributes:
        request: its own.
        way: of the answer.
        awaits_node: as of an asker; a node waits for the answer of each member that it asks.
    """

    request: NodeRequest
    way: AnswersTo
    awaits_node: bool = True

    def answer(self, value: Any) -> None:
        """Send an answer, with others of the turn to that node."""
        way = self.way
        try:
            body = encode(("r", way.name, self.request.call_id, value))  # an Answer, see `encode`
        except UNENCODABLE as error:
            raise no_form(error) from error
        channel, batches = way.channel, way.batches
        waiting = batches.held.get(channel)
        if waiting and len(waiting) <= MAX_APPENDED:
            waiting.append(body)
        else:
            batches.add(channel, body)

    def refuse(self, error: EventError) -> None:
        """Send a refusal in place of an answer."""
        code, message = str(error.code), str(error.message)
        if not (has_utf8(code) and has_utf8(message)):
            raise InvalidPayload(f"the refusal {code!r} has no UTF-8 form")
        way = self.way
        way.batches.add(way.channel, encode(RequestRefusal(way.name, self.request.call_id, code, message)))
