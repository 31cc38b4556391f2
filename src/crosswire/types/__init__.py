"""The plain values that every layer may use: closes, users, rooms, nodes, and answers of many."""

from __future__ import annotations

from crosswire.errors import Close
from crosswire.types.answers import ANYTHING, Replies, Reply, T, T_co, Tally
from crosswire.types.closes import FINAL_CLOSE_CODES, CloseCode
from crosswire.types.nodes import GapInfo, LinkStatus, NodeInfo, NodeStatus, SubscriptionFailure
from crosswire.types.rooms import (
    HistoryMessage,
    HistoryPage,
    OwnerChange,
    Position,
    RoomInfo,
    RoomList,
    RoomState,
    Roster,
)
from crosswire.types.users import Identity, Locations

__all__ = [
    "ANYTHING",
    "FINAL_CLOSE_CODES",
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
    "T",
    "T_co",
    "Tally",
]
