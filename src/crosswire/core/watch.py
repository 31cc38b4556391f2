"""The few members that one node watches, because they beat too rarely to show in time that they are alive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from crosswire.core.membership import BEAT_INTERVAL, Member

WATCHED = 2
"""Members that a node watches, and so nodes that watch each member: one of them may die with it."""
WATCH_INTERVAL = BEAT_INTERVAL
"""Seconds between two questions to a member that is watched."""
DOUBT_AFTER = 2.5 * WATCH_INTERVAL
"""Seconds of silence after which a member that is watched is doubted: two questions were not answered."""


class Watch:
    """The members that a node watches: those that follow it in the ring of all incarnations.

    While one of them is doubted, one more is watched, so that a row of nodes that die together is found out too.

    Args:
        own: the incarnation of the node.
    """

    __slots__ = ("_own", "_since")

    def __init__(self, own: str) -> None:
        self._own = own
        self._since: dict[Member, float] = {}  # and when the node began to watch them

    def __iter__(self) -> Iterator[Member]:
        return iter(self._since)

    def choose(self, members: Iterable[Member], now: float) -> None:
        """Choose whom to watch among the members."""
        rare = [each for each in members if each.beats_rarely]
        rare.sort(key=lambda each: (each.beat.incarnation < self._own, each.beat.incarnation))  # begins after this node
        chosen: dict[Member, float] = {}
        trusted = 0
        for each in rare:
            if trusted == WATCHED:
                break
            chosen[each] = self._since.get(each, now)
            trusted += not each.suspected
        self._since = chosen

    def silent(self, now: float) -> list[Member]:
        """Return the members that have not answered for too long, and are not suspected yet."""
        return [
            each
            for each, since in self._since.items()
            if not each.suspected and now - max(each.last_heard, since) >= DOUBT_AFTER
        ]
