"""Joins what is said on one channel in a turn of the event loop, so that one PUBLISH carries it."""

from __future__ import annotations

import logging

from crosswire.cluster.ordered_port import OrderedPort
from crosswire.core import envelopes
from crosswire.core.envelopes import Batch, Statement
from crosswire.errors import BusUnavailable
from crosswire.runtime.loop_thread import running_loop
from crosswire.runtime.throttled_warnings import ThrottledWarnings

_MOST = 64
"""Statements that are joined at most."""
_LARGE = 256 * 1024
"""Bytes of what is joined, above which each is published on its own."""

logger = logging.getLogger("crosswire.cluster")


class Batches:
    """What waits for the end of the turn, by channel; in order, as long as all on a channel goes through here.

    A busy node says many things to another in a turn: joined, they cost Redis and both nodes little more than one.

    Args:
        port: publishes.

    Attributes:
        dropped: statements that found no room while no Redis could be reached.
    """

    __slots__ = ("_held", "_port", "_warnings", "dropped")

    def __init__(self, port: OrderedPort) -> None:
        self._port = port
        self._held: dict[bytes, list[Statement]] = {}
        self._warnings = ThrottledWarnings(logger)
        self.dropped = 0

    def add(self, channel: bytes, statement: Statement) -> None:
        """Publish at the end of the turn."""
        held = self._held
        statements = held.get(channel)
        if statements is None:
            if not held:
                running_loop().call_soon(self.flush)
            held[channel] = [statement]
            return
        statements.append(statement)
        if len(statements) >= _MOST:
            self._publish(channel, statements)
            held[channel] = []

    def publish(self, channel: bytes, statement: Statement) -> None:
        """Publish at once, behind what waits.

        Raises:
            BusUnavailable: no Redis can be reached and too much waits for it, where that is the policy.
        """
        if waiting := self._held.get(channel):
            self._publish(channel, waiting)
            self._held[channel] = []
        self._port.publish(channel, envelopes.encode(statement))

    def flush(self) -> None:
        """Publish all that waits."""
        held, self._held = self._held, {}
        for channel, statements in held.items():
            try:
                if statements:
                    self._publish(channel, statements)
            except Exception:
                logger.exception("what nodes say to each other could not be published")  # and on to the next

    def _publish(self, channel: bytes, statements: list[Statement]) -> None:
        try:
            if len(statements) > 1:
                body = envelopes.encode(Batch(statements))
                if len(body) <= _LARGE:
                    self._port.publish(channel, body)
                    return
            for statement in statements:
                self._port.publish(channel, envelopes.encode(statement))
        except BusUnavailable as error:
            self.dropped += len(statements)
            text = "%d requests and answers of nodes are lost: %s"
            self._warnings.warn("lost", text, len(statements), error)
