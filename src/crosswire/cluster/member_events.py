"""Protocols of what the members of a cluster need from their node, and tell it."""

from __future__ import annotations

from typing import Protocol

from crosswire.core.envelopes import HistoryDeclaration
from crosswire.types import NodeInfo


class ClientLoad(Protocol):
    """The clients of a node, as its beats describe them."""

    @property
    def connections(self) -> int:
        """Number of clients that are connected to the node."""
        ...

    @property
    def serves(self) -> bool:
        """Whether the node is a server."""
        ...

    @property
    def wants_msgpack(self) -> bool:
        """Whether some of the clients want MessagePack."""
        ...


class MembershipEvents(Protocol):
    """Callbacks for nodes that join and leave."""

    def joined(self, info: NodeInfo) -> None:
        """Handle a node that has joined."""

    def left(self, info: NodeInfo, reason: str) -> None:
        """Handle a node that is gone; ``reason`` is "goodbye", "timeout" or "replaced"."""

    def replaced(self) -> None:
        """Handle that another node has taken over this node's name."""


class HistoryDeclarations(Protocol):
    """The declarations of the namespaces that keep history, which travel in beats."""

    @property
    def announced(self) -> tuple[HistoryDeclaration, ...]:
        """The declarations in the beats of this node."""
        ...

    def heard(self, name: str, incarnation: str, declared: tuple[HistoryDeclaration, ...] | None) -> None:
        """Take what a member says in its beats."""

    def gone(self, incarnation: str) -> None:
        """Take note that a member is gone."""
