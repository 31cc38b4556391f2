"""Crosswire: real-time applications over WebSockets, on one server or on many."""

from __future__ import annotations

from crosswire.client import Client
from crosswire.core.audience import Audience, Room
from crosswire.errors import (
    CallTimeout,
    ConfigError,
    CrosswireError,
    EventError,
    InvalidPayload,
    NotConnected,
    Reject,
    UsageError,
)
from crosswire.server.handshake import Handshake
from crosswire.server.server import Server
from crosswire.server.socket import Socket
from crosswire.transport.interface import Response
from crosswire.types import Close, CloseCode, Heartbeat, Limits, Replies, Reply, Roster, Tally

__version__ = "0.1.0"

__all__ = [
    "Audience",
    "CallTimeout",
    "Client",
    "Close",
    "CloseCode",
    "ConfigError",
    "CrosswireError",
    "EventError",
    "Handshake",
    "Heartbeat",
    "InvalidPayload",
    "Limits",
    "NotConnected",
    "Reject",
    "Replies",
    "Reply",
    "Response",
    "Room",
    "Roster",
    "Server",
    "Socket",
    "Tally",
    "UsageError",
]
