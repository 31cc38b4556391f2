"""A question to nodes, and waiting for the answers."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from selectors import EVENT_READ, DefaultSelector
from types import TracebackType

from crosswire.emitter.dialects import EmitterDialect, NodeReply
from crosswire.emitter.redis_link import LinkFailed, RedisLink, RedisSubscription
from crosswire.errors import BusUnavailable


class Question:
    """Connections to all Redis on which the answers to one question come, while its context is entered.

    Args:
        links: to each Redis.
        name: of the emitter.
        dialect: of the answers.

    Attributes:
        dialect: as given.
        asker: to be named in the requests, so that the answers come to this question.
    """

    def __init__(self, links: Sequence[RedisLink], name: str, dialect: EmitterDialect) -> None:
        self.asker = secrets.token_hex(8)
        self._links = links
        self._name = f"crosswire:{name}:answers"
        self.dialect = dialect
        self._subscriptions: list[RedisSubscription] = []
        self._selector = DefaultSelector()

    def __enter__(self) -> Question:
        try:
            self._subscribe()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def wait(self, timeout: float) -> list[NodeReply]:
        """Wait for replies; return those that came, or nothing after ``timeout`` seconds.

        Raises:
            BusUnavailable: no connection is left on which they could come.
        """
        self._selector.select(timeout)
        replies: list[NodeReply] = []
        for subscription in list(self._subscriptions):
            try:
                messages = subscription.read()
            except LinkFailed as error:
                self._lost(subscription, error)
                continue
            for message in messages:
                replies += self.dialect.read_replies(message, self.asker)
        return replies

    def _subscribe(self) -> None:
        channel, now = self.dialect.reply_channel(self.asker), time.monotonic()
        usable = [link for link in self._links if link.retry_at <= now] or self._links
        failures: list[str] = []
        for link in usable:
            try:
                subscription = RedisSubscription(link.address, self._name, channel)
            except LinkFailed as error:
                failures.append(str(error))
                continue
            self._subscriptions.append(subscription)
            self._selector.register(subscription, EVENT_READ)
        if not self._subscriptions:
            raise BusUnavailable(f"no Redis lets the emitter listen for answers: {'; '.join(failures)}")

    def _lost(self, subscription: RedisSubscription, error: LinkFailed) -> None:
        self._selector.unregister(subscription)
        self._subscriptions.remove(subscription)
        subscription.close()
        if not self._subscriptions:
            raise BusUnavailable(f"the connections on which answers would come are lost: {error}")

    def _close(self) -> None:
        self._selector.close()
        for subscription in self._subscriptions:
            subscription.close()
