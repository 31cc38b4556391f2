"""Crosswire: real-time applications over WebSockets, on one server or on many."""

from __future__ import annotations

from crosswire.client import Client
from crosswire.cluster.compat import Compat
from crosswire.cluster.memory import MemoryBus
from crosswire.cluster.node import Node
from crosswire.cluster.redis.control import RedisControl
from crosswire.cluster.redis.options import Redis
from crosswire.cluster.streams import ReplyStream
from crosswire.core.audience import Audience, Room
from crosswire.core.limits import Heartbeat, Limits
from crosswire.emitter.audience import EmitterAudience
from crosswire.emitter.emitter import Emitter
from crosswire.errors import (
    BusUnavailable,
    CallTimeout,
    ConfigError,
    CrosswireError,
    EventError,
    InvalidPayload,
    NodeGone,
    NoOwner,
    NotConnected,
    Refused,
    Reject,
    UsageError,
)
from crosswire.server.handshake import Handshake
from crosswire.server.server import Server
from crosswire.server.socket import Socket
from crosswire.transport.interface import Response
from crosswire.transport.tls_files import Tls
from crosswire.types import (
    Close,
    CloseCode,
    GapInfo,
    Identity,
    LinkStatus,
    Locations,
    NodeInfo,
    NodeStatus,
    OwnerChange,
    Replies,
    Reply,
    RoomInfo,
    RoomList,
    RoomState,
    Roster,
    SubscriptionFailure,
    Tally,
)

__version__ = "0.1.0"

__all__ = [
    "Audience",
    "BusUnavailable",
    "CallTimeout",
    "Client",
    "Close",
    "CloseCode",
    "Compat",
    "ConfigError",
    "CrosswireError",
    "Emitter",
    "EmitterAudience",
    "EventError",
    "GapInfo",
    "Handshake",
    "Heartbeat",
    "Identity",
    "InvalidPayload",
    "Limits",
    "LinkStatus",
    "Locations",
    "MemoryBus",
    "NoOwner",
    "Node",
    "NodeGone",
    "NodeInfo",
    "NodeStatus",
    "NotConnected",
    "OwnerChange",
    "Redis",
    "RedisControl",
    "Refused",
    "Reject",
    "Replies",
    "Reply",
    "ReplyStream",
    "Response",
    "Room",
    "RoomInfo",
    "RoomList",
    "RoomState",
    "Roster",
    "Server",
    "Socket",
    "SubscriptionFailure",
    "Tally",
    "Tls",
    "UsageError",
]
