"""Nodes: the members of a cluster, their counts, and the state of the bus between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


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
