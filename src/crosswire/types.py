"""The plain values that every layer may use: options, closes and answers of many."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, NewType, TypeVar, cast

from crosswire.errors import Close, EventError

__all__ = [
    "Close",
    "CloseCode",
    "GapInfo",
    "HistoryMessage",
    "HistoryPage",
    "Identity",
    "LinkStatus",
    "Locations",
    "NodeInfo",
    "NodeStatus",
    "OwnerChange",
    "Position",
    "Replies",
    "Reply",
    "RoomInfo",
    "RoomList",
    "RoomState",
    "Roster",
    "SubscriptionFailure",
    "Tally",
]

if TYPE_CHECKING:  # type checkers know defaults of type variables, Python 3.11 does not
    from typing_extensions import TypeVar as TypeVarWithDefault

    T = TypeVarWithDefault("T", default=Any)
    T_co = TypeVarWithDefault("T_co", covariant=True, default=Any)
else:
    T = TypeVar("T")
    T_co = TypeVar("T_co", covariant=True)

ANYTHING: Any = Any
"""Type of an answer if the caller names none."""


class CloseCode(IntEnum):
    """Close codes that Crosswire sends. 1xxx: RFC 6455, section 7.4.1; 4xxx: Crosswire's own and the original's.

    A client does not reconnect after a code in :data:`FINAL_CLOSE_CODES`. After any other code it does.
    """

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    NO_STATUS = 1005
    ABNORMAL = 1006
    INVALID_TEXT = 1007
    POLICY = 1008
    TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    TRY_AGAIN_LATER = 1013
    CLIENT_CLOSED = 4001
    FORCED_LOGOUT = 4010
    AUTH_FAILED = 4011
    REPLACED = 4012
    BACKGROUND = 4013
    TOKEN_EXPIRED = 4014


FINAL_CLOSE_CODES = frozenset(
    {
        CloseCode.POLICY,
        CloseCode.CLIENT_CLOSED,
        CloseCode.FORCED_LOGOUT,
        CloseCode.AUTH_FAILED,
        CloseCode.REPLACED,
    }
)
"""Close codes after which a client does not reconnect by itself."""


@dataclass(frozen=True, slots=True)
class Identity:
    """User of a connection, and how long and by which token the user is known. ``authenticate`` may return one.

    Attributes:
        user: the user's id.
        expires: when the connection's right ends, in seconds since 1970: before that the client is asked for a new
            token, and then closed with 4014. None if it does not end.
        token_id: id of the token, such as the ``jti`` of a JWT, by which ``Server.revoke`` finds it.
        issued_at: when the token was issued, in seconds since 1970. While ``Server.revoke`` of the user is remembered,
            an older token is refused. None if that is not known: then nothing but open connections is closed.
        claims: whatever else the token says, for the application.
    """

    user: str
    expires: float | None = None
    token_id: str | None = None
    issued_at: float | None = None
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


class Replies(Mapping[str, T_co]):
    """Answers of several nodes or users, by name; None is an answer too.

    Its type parameter is the type of an answer: ``Replies[Answer]``.

    Attributes:
        errors: the :class:`EventError` of each node or user that refused, by name.
        missing: names of the nodes or users that did not answer in time, or went away before.
        expected: number of answers that were expected, if only their number was known.
    """

    __slots__ = ("_answers", "errors", "expected", "missing")

    def __init__(
        self,
        answers: Mapping[str, T_co] | None = None,
        *,
        errors: Mapping[str, EventError] | None = None,
        missing: Collection[str] = (),
        expected: int = 0,
    ) -> None:
        self._answers = dict(answers or {})
        self.errors: dict[str, EventError] = dict(errors or {})
        self.missing: tuple[str, ...] = tuple(missing)
        self.expected = expected

    @property
    def complete(self) -> bool:
        """Whether everybody who was asked has answered; a refusal is an answer."""
        return not self.missing and len(self) + len(self.errors) >= self.expected

    def __getitem__(self, name: str) -> T_co:
        return self._answers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._answers)

    def __len__(self) -> int:
        return len(self._answers)

    def __repr__(self) -> str:
        return f"Replies({self._answers!r}, errors={self.errors!r}, missing={self.missing!r})"


@dataclass(frozen=True, slots=True)
class Reply(Generic[T_co]):
    """An answer in a ``stream``: its sender, and either data or a refusal."""

    sender: str
    data: T_co = cast(Any, None)  # noqa: RUF009 - None if the sender refused
    error: EventError | None = None


class Tally(int):
    """A count, usable as an int, that also tells which nodes did not answer."""

    missing: tuple[str, ...]

    def __new__(cls, total: int, missing: Collection[str] = ()) -> Tally:
        """Create a tally from a plain count and the names of the nodes that did not answer."""
        self = super().__new__(cls, total)
        self.missing = tuple(missing)
        return self

    @property
    def total(self) -> int:
        """The count as a plain int."""
        return int(self)

    def __str__(self) -> str:
        return str(self.total)

    def __repr__(self) -> str:
        return f"Tally({int(self)}, missing={self.missing!r})"


@dataclass(frozen=True, slots=True)
class Roster:
    """Members of a room. Iterating, ``len`` and ``in`` are about the users.

    Attributes:
        users: user ids, each once.
        missing: names of the nodes that did not answer.
    """

    users: frozenset[str] = field(default_factory=frozenset)
    missing: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[str]:
        return iter(self.users)

    def __len__(self) -> int:
        return len(self.users)

    def __contains__(self, user: object) -> bool:
        return user in self.users


@dataclass(frozen=True, slots=True)
class Locations:
    """Users, and the nodes that they are connected to: the first users in order of their ids.

    Attributes:
        users: user id -> name of a node -> number of the user's connections there.
        total: number of users, with those that are not listed.
        exact: whether that is their number. It may be smaller if some are not listed, and with `duplicates="allow"`
            they are connected to several nodes.
        missing: names of the nodes that did not answer.
    """

    users: dict[str, dict[str, int]] = field(default_factory=dict)
    total: int = 0
    exact: bool = True
    missing: tuple[str, ...] = ()


class RoomInfo(NamedTuple):
    """A room that has members.

    Attributes:
        namespace: of the room.
        id: of the room.
        nodes: name of a node -> number of members that are connected to it.
    """

    namespace: str
    id: str
    nodes: dict[str, int]

    @property
    def members(self) -> int:
        """Number of members; who is connected to several nodes is counted on each."""
        return sum(self.nodes.values())


@dataclass(frozen=True, slots=True)
class RoomList:
    """Rooms that have members: the first ones in order of their namespaces and ids.

    Attributes:
        rooms: in order.
        total: number of rooms, with those that are not listed.
        exact: whether that is their number. If not, there are at least as many.
        missing: names of the nodes that did not answer.
    """

    rooms: tuple[RoomInfo, ...] = ()
    total: int = 0
    exact: bool = True
    missing: tuple[str, ...] = ()


class NodeInfo(NamedTuple):
    """A living member of the cluster.

    Attributes:
        name: unique among the living.
        incarnation: unique to one run of the node; a restarted node has a new one.
        since: when it started, in seconds of real time.
        connections: clients connected to it, as of its last beat.
    """

    name: str
    incarnation: str
    since: float
    connections: int = 0


class OwnerChange(NamedTuple):
    """A room that has another owner than before, as one node sees it.

    Attributes:
        namespace: of the room.
        id: of the room.
        owner: name of the node that owns it now; None if no living node may.
        previous: name of the node that owned it before; None if there was none.
    """

    namespace: str
    id: str
    owner: str | None
    previous: str | None


class LinkStatus(NamedTuple):
    """State of a link of the bus, such as a Redis, as one node sees it.

    Attributes:
        url: URL without the password.
        healthy: whether the last probe that was published on it came back in time.
        latency: milliseconds of the last probe's round trip; None before the first.
        last_error: text of the last error, or None.
        publisher: whether the connection that publishes works.
        subscriber: whether the connection that listens works.
    """

    url: str
    healthy: bool
    latency: float | None
    last_error: str | None
    publisher: bool
    subscriber: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """The numbers of one node. Those without a time count since its start; ``incarnation`` tells one run from another.

    Attributes:
        incarnation: unique to one run of the node.
        uptime: seconds since its start.
        connections: clients that are connected to it.
        users: users that are connected to it.
        rooms: rooms that have members on it.
        received: messages of clients, without heartbeats.
        sent: messages to clients, one for each connection that gets it.
        gaps: times that messages of other nodes might have been missed.
        dropped: messages to other nodes that are lost.
        refused: messages of other nodes that could not be used.
        redis: health of each Redis, as the node sees it.
        skipped: messages to clients that a connection did not get, as its client reads too slowly, by event.
    """

    incarnation: str
    uptime: float
    connections: int = 0
    users: int = 0
    rooms: int = 0
    received: int = 0
    sent: int = 0
    gaps: int = 0
    dropped: int = 0
    refused: int = 0
    redis: tuple[LinkStatus, ...] = ()
    skipped: dict[str, int] = field(default_factory=dict)


class GapInfo(NamedTuple):
    """Messages that may have been missed.

    Attributes:
        url: the link that was down, such as a Redis; empty if messages are known to be missing, whatever their path.
        since: when the link was up last, or when the last message before the missing ones came; seconds of real time.
        until: when the link was up again, or when it was known that messages are missing.
        channel: the channel on the bus whose messages are missing; None if not known, or if there are several.
        user: the user whose channel it is; None if it is no user's.
        room: the namespace and the id of the room whose channel it is; None if it is no room's.
    """

    url: str
    since: float
    until: float
    channel: str | None = None
    user: str | None = None
    room: tuple[str, str] | None = None


Position = NewType("Position", str)
"""A place in the history of a room: behind one message, and all before it. It is to be kept and compared, not read."""


class HistoryMessage(NamedTuple):
    """A message that a room has kept.

    Attributes:
        event: its name.
        data: as it was sent.
        position: behind the message.
        time: when it was kept, in seconds since 1970 by the clock of the log.
    """

    event: str
    data: Any
    position: Position
    time: float


class HistoryPage(NamedTuple):
    """Messages that a room has kept.

    Attributes:
        messages: newest last.
        complete: whether everything that was said before them, since the room's log began, is still kept.
    """

    messages: tuple[HistoryMessage, ...]
    complete: bool


class RoomState(NamedTuple):
    """The state of a room that keeps history, as a client knows it after a join, and whenever it changes.

    Attributes:
        namespace: of the room.
        id: of the room.
        recovered: True if everything that was said since the client's position has reached it, or is about to; False
            if that can't be known; None when it had no position, as at the first join.
        reason: why it is False: "epoch", "trimmed", "expired", "too-much", "ahead" or "unavailable"; else None.
    """

    namespace: str
    id: str
    recovered: bool | None
    reason: str | None = None


class SubscriptionFailure(NamedTuple):
    """A subscription that a link of the bus, such as a Redis, refused.

    Attributes:
        url: URL of the link, without the password.
        channel: channel that was refused.
        error: text with which it was refused.
    """

    url: str
    channel: str
    error: str
