"""Senders that are no members of the cluster, and are forgotten when they have been silent for a while."""

from __future__ import annotations

from collections import deque
from typing import Protocol

MAX_STRANGERS = 10_000
"""Senders that are no members and are remembered, each for each channel; beyond it, the oldest is forgotten."""
FORGET_AFTER = 10.0
"""Seconds of silence after which a sender that is no member is forgotten."""
_CHECKED_AT_ONCE = 4
"""Streams that are checked for silence when a new one begins."""


class Forgetful(Protocol):
    """Part of a sequencer that forgets senders."""

    def forget_silent(self, origin: bytes, now: float, *, force: bool = False) -> float | None:
        """Forget a sender that is silent; return the time at which to try it again, or None if it is forgotten."""
        ...


class SilentSenders:
    """Senders that are no members, such as an ``Emitter``: nobody says when they end.

    So the messages of such a sender are remembered only for :data:`FORGET_AFTER` after its last one on a channel. An
    emitter that has been silent for half as long says that no message was before its next one: it is handed on at once.

    Anybody can invent senders: beyond a limit the oldest is forgotten although it is not silent.

    Args:
        limit: number of senders that are remembered, each for each channel.
        forget_after: seconds of silence after which a sender is forgotten.

    Attributes:
        members: the origins of the members, which are remembered until they leave.
    """

    __slots__ = ("_limit", "_queue", "forget_after", "members")

    def __init__(self, limit: int = MAX_STRANGERS, forget_after: float = FORGET_AFTER) -> None:
        self.forget_after = forget_after
        self.members: set[bytes] = set()
        self._limit = limit
        self._queue: deque[tuple[float, Forgetful, bytes]] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    def began(self, sequencer: Forgetful, origin: bytes, now: float) -> None:
        """Note the first message of a sender on a channel, and forget some of the senders that are silent.

        More streams are checked than begin. So there are never many more than senders that were heard lately, and no
        timer is needed.
        """
        queue = self._queue
        for _ in range(_CHECKED_AT_ONCE):
            full = len(queue) >= self._limit
            if not queue or not (full or queue[0][0] <= now):
                break
            _, checked, sender = queue.popleft()
            if sender not in self.members and (due := checked.forget_silent(sender, now, force=full)) is not None:
                queue.append((due, checked, sender))
        if origin not in self.members:
            queue.append((now + self.forget_after, sequencer, origin))
