"""Phases of a client, from its first attempt to connect to its last, and the transitions between them."""

from __future__ import annotations

from enum import Enum


class Phase(Enum):
    """A stage between two attempts to connect. ``spec/phases.json`` describes each."""

    IDLE = "idle"
    WAITING = "waiting"
    CONNECTING = "connecting"
    OPEN = "open"
    READY = "ready"


class Trigger(Enum):
    """A reason to go from one phase to another."""

    CONNECT = "connect"
    RECONNECT = "reconnect"
    DUE = "due"
    OPENED = "opened"
    LET_IN = "let in"
    LOST = "lost"
    STOPPED = "stopped"


TRANSITIONS: dict[tuple[Phase, Trigger], Phase] = {
    (Phase.IDLE, Trigger.CONNECT): Phase.CONNECTING,
    (Phase.IDLE, Trigger.RECONNECT): Phase.WAITING,
    (Phase.WAITING, Trigger.DUE): Phase.CONNECTING,
    (Phase.WAITING, Trigger.STOPPED): Phase.IDLE,
    (Phase.CONNECTING, Trigger.OPENED): Phase.OPEN,
    (Phase.CONNECTING, Trigger.LOST): Phase.WAITING,
    (Phase.CONNECTING, Trigger.STOPPED): Phase.IDLE,
    (Phase.OPEN, Trigger.LET_IN): Phase.READY,
    (Phase.OPEN, Trigger.LOST): Phase.WAITING,
    (Phase.OPEN, Trigger.STOPPED): Phase.IDLE,
    (Phase.READY, Trigger.LOST): Phase.WAITING,
    (Phase.READY, Trigger.STOPPED): Phase.IDLE,
}
"""The next phase, by the present phase and the trigger. No other combination can occur."""


class PhaseMachine:
    """The phase of one client.

    Attributes:
        phase: the present one.
    """

    __slots__ = ("phase",)

    def __init__(self) -> None:
        self.phase = Phase.IDLE

    def move(self, trigger: Trigger) -> None:
        """Enter the phase that follows.

        Raises:
            KeyError: the trigger can't occur in this phase.
        """
        self.phase = TRANSITIONS[self.phase, trigger]

    @property
    def is_idle(self) -> bool:
        """Whether no connection is wanted."""
        return self.phase is Phase.IDLE

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self.phase in (Phase.OPEN, Phase.READY)
