"""Delivers messages to the clients of this server, and carries out what else audiences are asked to do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from heapq import nsmallest
from typing import Any

from crosswire.cluster.clients import ClientCounts
from crosswire.cluster.dialect import Deliver
from crosswire.core import messages
from crosswire.core.envelopes import Claim
from crosswire.core.event_policies import MessagePolicy, SendPolicy
from crosswire.core.formats import AnyOutbox, EncodedMessage, encode
from crosswire.core.messages import EventMessage
from crosswire.core.payload_types import PayloadType
from crosswire.core.pending_calls import CallIds
from crosswire.core.positions import LogPosition
from crosswire.core.revocations import Revocation
from crosswire.core.skipped_messages import SkippedMessages
from crosswire.core.targets import Everyone, Excluded, Target, ToRoom, ToUsers
from crosswire.errors import BusUnavailable, EventError
from crosswire.rooms.fanout import FanOut
from crosswire.runtime.log_records import get_logger
from crosswire.server.authorities import Authorities
from crosswire.server.client_calls import PendingClientGather
from crosswire.server.connected_client import ConnectedClient
from crosswire.server.duplicates import DuplicatePolicy
from crosswire.server.registry import Registry
from crosswire.server.room_joins import RoomJoins
from crosswire.server.sent_messages import SentMessages
from crosswire.server.sessions import Sessions
from crosswire.server.socket import Socket
from crosswire.types import CloseCode, Locations, Replies, RoomInfo, RoomList, Roster, Tally

logger = get_logger("crosswire.server")

FEW_EXCLUDED = 16
"""Number of excluded connections up to which a message waits with others to the same room for the end of the turn."""
MICROSECONDS = 1_000_000
"""Number of them in a second; stamps are in microseconds."""


class LocalDelivery:
    """The ``Clients`` of a server, and the ``Dispatcher`` for them alone.

    Args:
        name: returns the server's name, under which its answers are given.
        registry: the connections by user and room.
        fanout: pushes messages to many.
        joins: lets connections into rooms.
        duplicates: handles the claims of other servers.
        call_ids: ids for calls to clients.
        sessions: all connections, which count the messages of clients.
        skipped: counts the messages that clients who were behind did not get.
        authorities: the identities of connections.

    Attributes:
        connected: the users that are connected, now and later.
        deliver: as of :class:`~crosswire.cluster.dialect.ClientInbox`.
        formats: the formats that they use.
    """

    __slots__ = (
        "_authorities",
        "_call_ids",
        "_duplicates",
        "_fanout",
        "_joins",
        "_name",
        "_registry",
        "_rooms",
        "_rooms_here",
        "_sent",
        "_sessions",
        "_skipped",
        "_users_here",
        "connected",
        "deliver",
        "formats",
    )

    def __init__(
        self,
        name: Callable[[], str],
        registry: Registry[ConnectedClient[Socket]],
        fanout: FanOut,
        joins: RoomJoins,
        duplicates: DuplicatePolicy,
        call_ids: CallIds,
        sessions: Sessions,
        skipped: SkippedMessages,
        authorities: Authorities,
    ) -> None:
        self._authorities = authorities
        self._name = name
        self._registry = registry
        self._fanout = self.formats = fanout
        self._joins = joins
        self._duplicates = duplicates
        self._call_ids = call_ids
        self._sessions = sessions
        self._users_here = registry.users
        self.connected = registry.users.users
        self._rooms = registry.rooms
        self._rooms_here = registry.rooms.by_namespace
        self._sent: SentMessages | None = None
        self._skipped = skipped
        self.deliver: Deliver = self._deliver

    def measure(self, sent: SentMessages) -> None:
        """Count the messages from now on."""
        self._sent = sent
        self.deliver = sent.delivering(self._deliver)

    # Clients

    @property
    def connections(self) -> int:
        return len(self._users_here.members)

    @property
    def counts(self) -> ClientCounts:
        users, rooms = len(self._users_here.users), self._rooms.number
        return ClientCounts(
            self.connections, users, rooms, self._sessions.received, self._fanout.sent, self._skipped.by_event
        )

    @property
    def serves(self) -> bool:
        return True

    @property
    def wants_msgpack(self) -> bool:
        return self._fanout.wants_msgpack

    @property
    def users_may_be_elsewhere(self) -> bool:
        return self._duplicates.mode == "allow"

    def users(self, target: Target) -> Collection[str]:
        if not isinstance(target, ToUsers):
            return self._users(target)
        if len(target.users) == 1:
            return target.users if self._users_here.of(target.users[0]) else ()
        return [user for user in dict.fromkeys(target.users) if self._users_here.of(user)]

    def claimed(self, user: str, claim: Claim) -> None:
        self._duplicates.claimed(user, claim)

    def restored(self) -> None:
        self._duplicates.claim_again()

    def rooms_of(self, namespace: str) -> Iterable[ToRoom]:
        return self._joins.rooms_of(namespace)

    def room_changed(self, room: ToRoom, at: LogPosition | None, reason: str | None) -> None:
        self._joins.room_changed(room, at, reason)

    def _deliver(self, target: Target, message: EncodedMessage, exclude: Excluded | None) -> int:
        fanout = self._fanout
        if message.policy is not None:
            return self._deliver_droppable(target, message, message.policy, exclude)
        members: Mapping[ConnectedClient[Socket], AnyOutbox]
        is_exclusive = False
        if type(target) is ToRoom:  # not isinstance, which takes ten times as long for a struct of another class
            rooms = self._rooms_here.get(target.namespace)
            room = None if rooms is None else rooms.get(target.id)
            if room is None:
                return 0
            members, is_exclusive = room.members, not room.shared
        elif type(target) is ToUsers:
            return self._deliver_to_users(target, message, exclude)
        elif not (members := self._users_here.members):
            return 0
        if exclude is None:
            fanout.hold(fanout.frames(message), members, None, is_exclusive)
            return len(members)
        excluded = self._users_here.excluded(exclude, members)
        if len(excluded) > FEW_EXCLUDED:
            return fanout.push(fanout.frames(message), members, exclude)
        fanout.hold_for_others(fanout.frames(message), members, excluded, is_exclusive)
        return len(members) - len(excluded)

    def _deliver_to_users(self, target: ToUsers, message: EncodedMessage, exclude: Excluded | None) -> int:
        recipients = self._recipients(target)
        if exclude is None and len(recipients) == 1:
            for client in recipients:
                client.send_encoded(client.format.wrap(message))
            return 1
        return self._fanout.push(self._fanout.frames(message), recipients, exclude) if recipients else 0

    def deliver_texts(self, target: Target, texts: Sequence[bytes]) -> None:
        if type(target) is ToUsers and self._sent is None and not self._fanout.wants_msgpack:
            recipients = self._users_here.of(target.users[0]) if len(target.users) == 1 else ()
            if len(recipients) == 1:
                recipients[0].send_texts(texts)
                return
        for text in texts:
            try:
                self.deliver(target, EncodedMessage(text), None)
            except Exception:
                logger.exception("delivering a message of another node failed")  # and on to the next

    def _deliver_droppable(
        self,
        target: Target,
        message: EncodedMessage,
        policy: MessagePolicy,
        exclude: Excluded | None,
    ) -> int:
        recipients = self._recipients(target)
        if not recipients:
            return 0
        droppable, frames = self._skipped.droppable(policy), self._fanout.frames(message)
        if exclude is not None or isinstance(target, ToUsers):
            return self._fanout.push(frames, recipients, exclude, droppable)
        self._fanout.hold(frames, self._members(target), droppable)
        return len(recipients)

    # Dispatcher

    def send(
        self,
        target: Target,
        event: str,
        data: Any,
        exclude: Excluded | None,
        local: bool,
        policy: SendPolicy | None = None,
    ) -> None:
        checked = policy if type(policy) is MessagePolicy else None
        message = encode(EventMessage(event, data), msgpack=self._fanout.wants_msgpack, policy=checked)
        self.deliver(target, message, exclude)

    async def gather(self, target: Target, event: str, data: Any, timeout: float, kind: PayloadType) -> Replies:
        call_id = self._call_ids.next()
        message = encode(messages.server_call(event, data, call_id), msgpack=self.wants_msgpack)
        asked = list(self._recipients(target))
        if self._sent is not None:
            self._sent.gathering(event, len(asked), len(message.json))
        answers = PendingClientGather(self._users(target), asked, kind)
        try:
            for client in asked:
                try:
                    client.expect(call_id, answers)
                except EventError as error:
                    answers.refused(client, error)
            self._fanout.push(self._fanout.frames(message), asked)
            return await answers.wait(timeout)
        finally:
            for client in asked:
                client.forget(call_id)

    async def close(self, target: Target, code: int, reason: str) -> Replies:
        clients = list(self._recipients(target))
        for client in clients:
            client.close(code, reason)
        return Replies({self._name(): len(clients)})

    def revoke(self, revocations: Collection[Revocation], *, late: bool) -> int:
        closed = self._authorities.close_revoked(revocations)
        for each in revocations:
            if each.user is None or each.token_id is not None:
                continue
            for client in tuple(self._users_here.of(each.user)):
                # Of a connection without an identity, the time when it began counts.
                if client.authority is None and not (late and client.stamp > each.at * MICROSECONDS):
                    client.close(CloseCode.FORCED_LOGOUT, "the user was logged out")
                    closed += 1
        return closed

    async def count(self, target: Target) -> Tally:
        return Tally(len(self.users(target)))

    async def members(self, room: ToRoom) -> Roster:
        return Roster(frozenset(self._rooms.members(room.namespace, room.id)))

    async def locate(self, target: Target, prefix: str, limit: int) -> Locations:
        counts: dict[str, int] = {}
        for client in self._recipients(target):
            if client.user.startswith(prefix):
                counts[client.user] = counts.get(client.user, 0) + 1
        name = self._name()
        listed = {user: {name: counts[user]} for user in nsmallest(limit, counts)}
        exact = len(listed) == len(counts) or not self.users_may_be_elsewhere
        return Locations(listed, len(counts), exact)

    async def list_rooms(self, namespace: str | None, prefix: str, limit: int) -> RoomList:
        sizes = list(self._rooms.sizes(namespace, prefix))
        name = self._name()
        listed = tuple(RoomInfo(space, id_, {name: users}) for space, id_, users in nsmallest(limit, sizes))
        return RoomList(listed, len(sizes), len(listed) == len(sizes))

    async def add(self, room: ToRoom, user: str) -> Replies:
        clients = self._users_here.of(user)
        try:
            joined = await self._joins.join(clients, room) if clients else 0  # all of the user's connections, or none
        except (EventError, BusUnavailable) as error:
            refusal = error if isinstance(error, EventError) else EventError(error.code, str(error))
            refusal.sender = self._name()
            return Replies(errors={self._name(): refusal})
        return Replies({self._name(): joined})

    async def remove(self, room: ToRoom, user: str) -> Replies:
        left = sum([self._joins.leave(client, room) for client in self._users_here.of(user)])
        return Replies({self._name(): left})

    async def clear(self, room: ToRoom) -> Replies:
        return Replies({self._name(): self._joins.clear(room)})

    def _members(self, target: Target) -> Mapping[ConnectedClient[Socket], AnyOutbox]:
        """Return the connections of a target other than certain users, with their outboxes."""
        if type(target) is ToRoom:
            return self._rooms.in_room(target.namespace, target.id)
        return self._users_here.members

    def _recipients(self, target: Target) -> Collection[ConnectedClient[Socket]]:
        if type(target) is not ToUsers:
            return self._members(target)
        if len(target.users) == 1:
            return self._users_here.of(target.users[0])
        return [client for user in dict.fromkeys(target.users) for client in self._users_here.of(user)]

    def _users(self, target: Target) -> Collection[str]:
        if isinstance(target, Everyone):
            return self._users_here.users
        if isinstance(target, ToRoom):
            return self._rooms.users_in(target.namespace, target.id)
        return target.users
