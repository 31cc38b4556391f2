"""The epochs of a room's log, as one node knows them: the one in use, those that are over, and whether it is void."""

from __future__ import annotations

from crosswire.core.positions import LogPosition

MAX_OLD_EPOCHS = 32
"""Epochs of a room that are remembered as over; beyond it, the oldest is forgotten."""
MAX_BEGUN_EPOCHS = 32
"""Epochs that are remembered to have begun while the timeline was void; beyond it, all are forgotten."""


class LogEpochs:
    """The epochs of one room's log.

    Attributes:
        current: the epoch in use; empty before the first.
        is_void: whether messages were delivered that the log does not have. It ends with the use of an epoch that was
            heard to begin after that, or that is known to have.
        is_renewed: whether an epoch is known to have begun after that: a read that begins from now on finds one.
    """

    __slots__ = ("_begun_since_void", "_is_read_renewed", "_old", "_void_epoch", "current", "is_renewed", "is_void")

    def __init__(self) -> None:
        self.current = ""
        self.is_void = self.is_renewed = False
        self._is_read_renewed = False  # whether it was renewed when the present read of the log began
        self._void_epoch = ""  # which was in use then
        self._begun_since_void: set[str] = set()
        self._old: dict[str, None] = {}

    def is_over(self, epoch: str) -> bool:
        """Return whether an epoch is known to be over."""
        return epoch in self._old

    def end(self, epoch: str) -> None:
        """Remember that an epoch is over."""
        self._old[epoch] = None
        if len(self._old) > MAX_OLD_EPOCHS:
            del self._old[next(iter(self._old))]

    def use(self, epoch: str) -> None:
        """Go over to another epoch, and be void no more if it began later than that."""
        self.current = epoch
        if epoch in self._begun_since_void:
            self.is_void = False

    def void(self) -> None:
        """Take note that messages were delivered that the log does not have."""
        self.is_void = True
        self.is_renewed = self._is_read_renewed = False
        self._void_epoch = self.current
        self._begun_since_void.clear()

    def at(self, offset: int) -> LogPosition | None:
        """Return the position of a message of the epoch in use; None while no position is good."""
        return None if self.is_void else LogPosition(self.current, offset)

    def renew(self) -> bool:
        """Take note that an epoch has begun since it is void; return whether only a read can tell which is in use."""
        self.is_renewed = self.is_void and not self._begun_since_void
        return self.is_renewed

    def begin_read(self) -> None:
        """Take note that a read of the log begins."""
        self._is_read_renewed = self.is_renewed

    def end_read(self, epoch: str) -> bool:
        """Take the epoch that was read; return whether it is in use, and void no more as it is known to be new."""
        if not self._is_read_renewed:
            return False
        self.is_renewed = self._is_read_renewed = False
        if epoch == self.current:
            self.is_void = False
            return True
        self._begun_since_void.add(epoch)
        return False

    def hear_beginning(self, epoch: str) -> bool:
        """Take note that an epoch begins, and return whether it is in use, and therefore void no more."""
        if not self.is_void or epoch == self._void_epoch:
            return False
        if epoch == self.current:
            self.is_void = False
            return True
        if len(self._begun_since_void) >= MAX_BEGUN_EPOCHS:
            self._begun_since_void.clear()
        self._begun_since_void.add(epoch)
        return False
