"""The requests of other nodes, with what their answers need."""

from __future__ import annotations

from typing import Any

import msgspec

from crosswire.cluster.batches import Batches
from crosswire.core.envelopes import UNENCODABLE, AnswerWith, NodeRequest, RequestRefusal, encode, no_form
from crosswire.core.utf8 import has_utf8
from crosswire.errors import EventError, InvalidPayload


class AskingNode(msgspec.Struct, gc=False):
    """A request of another node, and the way of its answer: an :class:`~crosswire.cluster.dialect.Asker`.

    Attributes:
        request: its own.
        name: of this node.
        channel: on which the asking node listens for answers.
        batches: take the answer.
        awaits_node: as of an asker; a node waits for the answer of each member that it asks.
    """

    request: NodeRequest
    name: str
    channel: bytes
    batches: Batches
    awaits_node: bool = True

    def answer(self, value: Any) -> None:
        """Send an answer, with others of the turn to that node."""
        try:
            body = encode(AnswerWith(self.name, self.request.call_id, value))
        except UNENCODABLE as error:
            raise no_form(error) from error
        self.batches.add(self.channel, body)

    def refuse(self, error: EventError) -> None:
        """Send a refusal in place of an answer."""
        code, message = str(error.code), str(error.message)
        if not (has_utf8(code) and has_utf8(message)):
            raise InvalidPayload(f"the refusal {code!r} has no UTF-8 form")
        self.batches.add(self.channel, encode(RequestRefusal(self.name, self.request.call_id, code, message)))
