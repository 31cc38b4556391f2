"""Checks whether a run of a node is alive: by those that listen on its channel, and by a question that it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from crosswire.cluster.bus_delay import PING
from crosswire.cluster.native import NativeDialect
from crosswire.cluster.ordered_port import OrderedPort
from crosswire.cluster.requests import Deadline, PendingRequests
from crosswire.core.envelopes import SERVICE
from crosswire.core.payload_types import ANY
from crosswire.errors import EventError

ANSWER_TIMEOUT = 1.0
"""Seconds that a living node takes at most to answer a question."""
LISTENERS_INTERVAL = 0.02
"""Seconds between two counts of those that listen on the channel of a node that leaves."""


class LifeChecks:
    """Asks for signs of life that nobody can forge who does not listen on the channel of the node.

    A question is a request with an id that can't be guessed. The answer to it comes only from somebody who received it.

    Args:
        native: sends the questions.
        port: counts listeners.
        requests: where questions wait for their answers.
    """

    __slots__ = ("_native", "_port", "_requests")

    def __init__(self, native: NativeDialect, port: OrderedPort, requests: PendingRequests) -> None:
        self._native = native
        self._port = port
        self._requests = requests

    async def listens(self, incarnation: str) -> bool:
        """Return whether somebody listens as this run of a node.

        If the bus can't count listeners, or messages are signed, it has to answer a question.
        """
        channel = self._native.incarnation_channel(incarnation)
        count = await self._port.count_listeners(channel)
        if count is None or (count > 0 and self._port.signed):
            return await self.answers(channel)
        return count > 0

    async def has_left(self, incarnation: str) -> bool:
        """Return whether a run of a node is gone: nobody listens as it any more, or nobody answers within a second.

        While no other node can be reached, that is not known of any.
        """
        channel = self._native.incarnation_channel(incarnation)
        deadline = asyncio.get_running_loop().time() + ANSWER_TIMEOUT
        with self._question(channel) as answer:
            while not answer.done():
                listeners = await self._port.count_listeners(channel)
                if not self._port.available:
                    return False
                if listeners == 0:
                    return True
                left = deadline - asyncio.get_running_loop().time()
                if left <= 0:
                    break
                await asyncio.wait({answer}, timeout=min(LISTENERS_INTERVAL, left))
            return not answer.done()

    async def answers(self, channel: bytes) -> bool:
        """Return whether a node that listens on a channel answers a question within a second."""
        with self._question(channel) as answer:
            await asyncio.wait({answer}, timeout=ANSWER_TIMEOUT)
            return answer.done()

    @contextmanager
    def _question(self, channel: bytes) -> Iterator[asyncio.Future[None]]:
        """Ask the nodes that listen on a channel; yield a future that is done when one has answered."""
        question = _Question()
        call_id = self._requests.begin(question, 2 * ANSWER_TIMEOUT)  # it is forgotten sooner
        try:
            self._native.ask(channel, f"{SERVICE}{PING}", call_id)
            yield question.answer
        finally:
            self._requests.forget(call_id)
            question.answer.cancel()

    async def name_is_held(self, channel: bytes) -> bool:
        """Return whether another node, beside this one, listens on the channel of a name and answers."""
        count = await self._port.count_listeners(channel)
        return (count is None or count > 1) and await self.answers(channel)


class _Question:
    """A :class:`~crosswire.cluster.requests.PendingRequest` of which only matters whether it is answered."""

    kind = ANY

    __slots__ = ("answer", "deadline")

    deadline: Deadline

    def __init__(self) -> None:
        self.answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def reply(self, sender: str, data: Any, error: EventError | None) -> bool:
        """Take any reply, a refusal too: somebody has received the question."""
        if not self.answer.done():
            self.answer.set_result(None)
        return True

    def lost(self, name: str) -> bool:
        """Keep waiting, whoever is gone."""
        return False

    def end(self) -> None:
        """Leave it to the one who asked to give up."""
