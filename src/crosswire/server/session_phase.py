"""The phases of a connection."""

from __future__ import annotations

from enum import Enum, auto


class SessionPhase(Enum):
    """Phases of a connection. Each begins when the work of the phase before it has ended, or was cancelled."""

    AUTHENTICATING = auto()
    """The connection has no user yet, or was refused."""
    CONNECTING = auto()
    """``on_connect`` runs, or the user is being announced to other servers."""
    CATCHING_UP = auto()
    """The connection is let in, and messages that waited are handled, or wait for handlers to end."""
    OPEN = auto()
    """Messages are handled at once."""
    ENDING = auto()
    """The connection is gone, or about to be, and no more messages are handled."""
