"""Partitions of a simulation: pairs of members that can't hear each other."""

from __future__ import annotations

from collections.abc import Callable, Collection


class Partitions:
    """Pairs of names whose messages do not get through.

    Args:
        healed: called when messages get through again.
    """

    def __init__(self, healed: Callable[[], None]) -> None:
        self._healed = healed
        self._blocked: set[tuple[str, str]] = set()

    def block(self, groups: Collection[Collection[str]], *, one_way: bool) -> None:
        """Let no message through between groups of names.

        Args:
            groups: two or more.
            one_way: only those of earlier groups can't be heard by later ones.
        """
        for index, group in enumerate(groups):
            for later in list(groups)[index + 1 :]:
                pairs = {(sender, receiver) for sender in group for receiver in later}
                self._blocked |= pairs if one_way else pairs | {(to, sender) for sender, to in pairs}

    def heal(self) -> None:
        """Let all messages through again."""
        if self._blocked:
            self._blocked = set()
            self._healed()

    def blocks(self, sender: str, receiver: str) -> bool:
        """Return whether messages of a sender do not get through to a receiver."""
        return bool(self._blocked) and (sender, receiver) in self._blocked
