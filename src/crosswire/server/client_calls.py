"""Calls of the server to its clients that wait for their answers."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from typing import Any, Protocol

from crosswire.core import messages
from crosswire.core.formats import Encode, Encoded
from crosswire.core.payload_types import ANY, PayloadType
from crosswire.core.pending_calls import CallIds
from crosswire.core.replies import GatheredReplies
from crosswire.errors import CallTimeout, EventError
from crosswire.server.client_gone import ClientGone
from crosswire.types import Replies


class CalledClient(Protocol):
    """The attributes of a called connection that a call uses."""

    user: str


class PendingClientRequest(Protocol):
    """A request that waits for answers from one connection or several.

    Attributes:
        kind: the type of an answer.
    """

    kind: PayloadType

    def answered(self, by: CalledClient, payload: Any, /) -> None:
        """Take the answer of a connection."""

    def refused(self, by: CalledClient, error: EventError) -> None:
        """Take the refusal of a connection."""

    def lost(self, by: CalledClient, /) -> None:
        """Give up on the answer of a connection that is gone."""


class CallableClient(CalledClient, Protocol):
    """The methods of a connection that a call to it uses."""

    @property
    def encode(self) -> Encode:
        """Function that encodes messages for it."""
        ...

    def expect(self, call_id: str, waiter: PendingClientRequest) -> None:
        """Give the answer to a call to ``waiter`` when it comes; raises NotConnected if the connection is closed."""

    def send_encoded(self, encoded: Encoded) -> None:
        """Queue an encoded message for it."""

    def forget(self, call_id: str) -> PendingClientRequest | None:
        """Stop waiting for the answer to a call."""


class ClientCalling(Protocol):
    """Calls single clients: :class:`ClientCalls`, or what measures or traces them."""

    async def call(self, client: CallableClient, event: str, data: Any, timeout: float, kind: PayloadType) -> Any:
        """Call a client and return its answer; see ``Socket.call``."""


class ClientCalls:
    """Calls single clients.

    Args:
        ids: of the calls to clients.
    """

    __slots__ = ("_ids",)

    def __init__(self, ids: CallIds) -> None:
        self._ids = ids

    async def call(self, client: CallableClient, event: str, data: Any, timeout: float, kind: PayloadType) -> Any:
        """Call a client and return its answer, decoded into ``kind``; see ``Socket.call``."""
        waiter, call_id = PendingClientCall(kind), self._ids.next()
        frame = client.encode(messages.server_call(event, data, call_id))
        client.expect(call_id, waiter)
        try:
            client.send_encoded(frame)
            async with asyncio.timeout(timeout):
                return await waiter.future
        except TimeoutError:
            raise CallTimeout(f"user {client.user!r} did not answer {event!r} within {timeout} s") from None
        finally:
            client.forget(call_id)


class PendingClientCall:
    """A call to one connection.

    Args:
        kind: the type of the answer.

    Attributes:
        future: the answer.
    """

    __slots__ = ("future", "kind")

    def __init__(self, kind: PayloadType = ANY) -> None:
        self.kind = kind
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def answered(self, _by: CalledClient, payload: Any) -> None:
        """Set the answer; see :class:`PendingClientRequest`."""
        if not self.future.done():
            self.future.set_result(payload)

    def refused(self, by: CalledClient, error: EventError) -> None:
        """Fail with the refusal; see :class:`PendingClientRequest`."""
        error.sender = by.user
        self._fail(error)

    def lost(self, by: CalledClient) -> None:
        """Fail with NotConnected; see :class:`PendingClientRequest`."""
        self._fail(ClientGone(by, f"the connection of user {by.user!r} was closed before it answered"))

    def _fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class PendingClientGather:
    """A request to users. For each user, the first answer over any of the connections counts.

    Args:
        users: the users that are asked, with or without a connection.
        clients: their connections.
        kind: the type of an answer.
    """

    __slots__ = ("_done", "_replies", "_user_of", "kind")

    def __init__(self, users: Iterable[str], clients: Collection[CalledClient], kind: PayloadType = ANY) -> None:
        self.kind = kind
        # A connection may have another user by the time it answers: its answer counts for the user who was asked.
        self._user_of = {client: client.user for client in clients}
        ways = dict.fromkeys(users, 0)
        for user in self._user_of.values():
            ways[user] = ways.get(user, 0) + 1
        self._replies = GatheredReplies(ways)
        self._done = asyncio.Event()
        self._settle(self._replies.complete)

    async def wait(self, timeout: float) -> Replies:
        """Wait until all users have answered or can't any more, at most ``timeout`` seconds; return the replies."""
        try:
            async with asyncio.timeout(timeout):
                await self._done.wait()
        except TimeoutError:
            pass  # the users that did not answer are in `missing`
        return self._replies.result()

    def answered(self, by: CalledClient, payload: Any) -> None:
        """Take the answer of a connection as its user's; see :class:`PendingClientRequest`."""
        self._settle(self._replies.answered(self._user_of[by], payload))

    def refused(self, by: CalledClient, error: EventError) -> None:
        """Take the refusal of a connection as its user's; see :class:`PendingClientRequest`."""
        self._settle(self._replies.refused(self._user_of[by], error))

    def lost(self, by: CalledClient) -> None:
        """Give up on the user if this was the last connection; see :class:`PendingClientRequest`."""
        self._settle(self._replies.lost(self._user_of[by]))

    def _settle(self, complete: bool) -> None:
        if complete:
            self._done.set()
