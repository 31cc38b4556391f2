"""Who is alive, as one node knows it. Knows no clock and sends nothing: its owner says when, and what was heard."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from enum import Enum, auto

from crosswire.core.envelopes import Beat, Goodbye
from crosswire.types import NodeInfo

INTERVAL = 0.5
"""Seconds between two beats of a node."""
SUSPICION = 3 * INTERVAL
"""Seconds of silence after which a member is asked whether it is there."""
DEATH = 5 * INTERVAL
"""Seconds of silence after which a member is dead."""
_REMEMBERED = 100


class Heard(Enum):
    """What a beat means."""

    KNOWN = auto()
    JOINED = auto()
    SUCCEEDED = auto()
    """A new run of the name; the one before it is gone."""
    OUTDATED = auto()
    """A run of the name that has left, or that another has taken the place of."""


class Member:
    """One other node.

    Attributes:
        beat: its last.
        suspected: whether it has been silent for too long, and has been asked.
        paths: the Redis that it is known to listen on.
    """

    __slots__ = ("beat", "heard", "paths", "suspected")

    def __init__(self, beat: Beat, now: float) -> None:
        self.beat = beat
        self.heard = now
        self.suspected = False
        self.paths = frozenset(beat.paths)

    @property
    def info(self) -> NodeInfo:
        """What an application is told."""
        return NodeInfo(self.beat.name, self.beat.incarnation, self.beat.since, self.beat.connections)


def age(beat: Beat) -> tuple[float, str]:
    """What runs of one name are compared by: the later one has the name."""
    return beat.since, beat.incarnation


class Membership:
    """The other members, by name."""

    __slots__ = ("_left", "_members")

    def __init__(self) -> None:
        self._members: dict[str, Member] = {}
        self._left: deque[tuple[str, int]] = deque(maxlen=_REMEMBERED)  # incarnations, and their last stamps

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members.values())

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def get(self, name: str) -> Member | None:
        """A living member."""
        return self._members.get(name)

    def hear(self, beat: Beat, now: float) -> Heard:
        """Take a beat; of one that SUCCEEDED another, the other is gone."""
        member = self._members.get(beat.name)
        if member is not None and member.beat.incarnation == beat.incarnation:
            if beat.stamp >= member.beat.stamp:  # over several Redis, an older one may come later
                member.beat = beat
                member.paths = frozenset(beat.paths)
            member.heard = max(member.heard, now)
            member.suspected = False
            return Heard.KNOWN
        if member is not None and age(beat) < age(member.beat):
            return Heard.OUTDATED
        if any(beat.incarnation == gone and beat.stamp <= stamp for gone, stamp in self._left):
            return Heard.OUTDATED  # it came over a slower Redis than its goodbye
        self._members[beat.name] = Member(beat, now)
        return Heard.JOINED if member is None else Heard.SUCCEEDED

    def leave(self, goodbye: Goodbye) -> Member | None:
        """Take a goodbye; return who left, if it was known."""
        self._left.append((goodbye.incarnation, goodbye.stamp))
        return self.remove(goodbye.name, goodbye.incarnation)

    def remove(self, name: str, incarnation: str) -> Member | None:
        """Forget a run that is gone; return it if it was known."""
        member = self._members.get(name)
        if member is None or member.beat.incarnation != incarnation:
            return None
        return self._members.pop(name)

    def silent(self, now: float) -> tuple[list[Member], list[Member]]:
        """Return who is to be asked whether it is there, each once a silence, and who is dead."""
        doubtful = [each for each in self if not each.suspected and SUSPICION <= now - each.heard < DEATH]
        for each in doubtful:
            each.suspected = True
        return doubtful, [each for each in self if now - each.heard >= DEATH]

    def excuse(self, now: float) -> None:
        """Begin to count everybody's silence anew: for a while it was us who could not hear."""
        for each in self:
            each.heard = now
            each.suspected = False

    def lost_path(self, path: str) -> None:
        """Trust nobody to listen on a Redis that went away, until they say so again."""
        for each in self:
            each.paths -= {path}

    def common_paths(self) -> frozenset[str] | None:
        """The Redis that every other member listens on; None if there are no others."""
        paths = [each.paths for each in self]
        return frozenset.intersection(*paths) if paths else None
