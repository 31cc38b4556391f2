"""Records of a room's log that came before they can be handed on: what is missing before them is read first."""

from __future__ import annotations

from crosswire.core.kept_messages import Kept, message_size

MAX_EARLY = 1_000
"""Records that are held for one room; beyond it, nothing more is waited for."""
MAX_EARLY_BYTES = 4 * 1024 * 1024
"""Bytes of the records that are held for one room, overhead included; beyond it, nothing more is waited for."""
MAX_EARLY_EPOCHS = 32
"""Epochs of the records that are held for one room; beyond it, nothing more is waited for."""
EARLY_OVERHEAD = 300
"""Bytes that a held record takes beside its message."""


class EarlyRecords:
    """Records that wait, by epoch and offset.

    Attributes:
        epochs: of the records, and those that are only known to have begun.
    """

    __slots__ = ("_bytes", "_count", "epochs")

    def __init__(self) -> None:
        self.epochs: dict[str, dict[int, Kept]] = {}
        self._count = self._bytes = 0

    def hold(self, epoch: str, kept: Kept | None) -> None:
        """Hold a record, unless it is held already; with None, only note that its epoch has begun."""
        records = self.epochs.setdefault(epoch, {})
        if kept is None or kept.offset in records:
            return
        records[kept.offset] = kept
        self._count += 1
        self._bytes += message_size(kept) + EARLY_OVERHEAD

    def take(self, epoch: str) -> dict[int, Kept]:
        """Return the records of an epoch, which are held no more."""
        records = self.epochs.pop(epoch, {})
        self._count -= len(records)
        self._bytes -= sum(message_size(kept) + EARLY_OVERHEAD for kept in records.values())
        return records

    def drop_all(self) -> None:
        """Drop all records that are held."""
        self.epochs.clear()
        self._count = self._bytes = 0

    @property
    def are_too_many(self) -> bool:
        """Whether more is held than one room may have."""
        return self._count > MAX_EARLY or self._bytes > MAX_EARLY_BYTES or len(self.epochs) > MAX_EARLY_EPOCHS
