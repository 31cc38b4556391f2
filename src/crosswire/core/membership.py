"""The members of a cluster as one node knows them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from enum import Enum, auto
from math import inf

from crosswire.core.envelopes import Beat, Goodbye
from crosswire.types import NodeInfo

BEAT_INTERVAL = 0.5
"""Seconds between two beats of a node in a cluster of few."""
MAX_BEATS = 100
"""Beats that all nodes send in a second, about. Each of them hears all, so where there are more than 50 each beats more
rarely: what a node hears does not grow, and what the bus carries grows with the nodes, not with their square."""
_SILENT_BEATS = 3
"""Intervals of silence after which a member is suspected."""
_LOST_BEATS = 5
"""Intervals of silence after which a member counts as dead."""
SUSPECT_AFTER = _SILENT_BEATS * BEAT_INTERVAL
"""Seconds of silence after which a member that beats every half second is suspected, and asked whether it is alive."""
DEAD_AFTER = _LOST_BEATS * BEAT_INTERVAL
"""Seconds of silence after which a member that beats every half second counts as dead."""
ANSWER_TIME = DEAD_AFTER - SUSPECT_AFTER
"""Seconds in which a member that is suspected has to answer; then it counts as dead."""
BELIEVED_FOR = 0.25
"""Seconds after a sign of life in which the doubts of other nodes do not count: nobody can have a member asked more
often."""
MAX_MEMBERS = 1000
"""Other members that a node knows at most; no cluster has as many."""
MAX_LATE = 5.0
"""Seconds for which a beat may come late, after a newer one or after the goodbye of its node."""
_MAX_REMEMBERED = 100
"""Maximum number of nodes that have left and whose late beats are recognised."""


def beat_interval(members: int) -> float:
    """Return the seconds between two beats of each node, at the most, in a cluster of so many members."""
    return max(BEAT_INTERVAL, members / MAX_BEATS)


class BeatResult(Enum):
    """Meaning of a beat that was received."""

    KNOWN = auto()
    NEW = auto()
    """A node that is no member: :meth:`Membership.add` makes it one."""
    RIVAL = auto()
    """A later run of a node whose name a member has: it may be a member only if the present one is gone."""
    OUTDATED = auto()
    """A run that has left, or that a later one has replaced."""
    FALSE = auto()
    """The run of a member under another name, or one node too many."""


class Member:
    """State of another node.

    Attributes:
        beat: the last beat that was received.
        last_heard: arrival of the last beat, in seconds of the caller's clock.
        updated: arrival of ``beat``.
        asked: when the node was suspected, and asked for a beat; infinity if it is not suspected.
        paths: the Redis that the node is known to listen on.
    """

    __slots__ = ("asked", "beat", "last_heard", "paths", "updated")

    def __init__(self, beat: Beat, now: float) -> None:
        self.beat = beat
        self.last_heard = self.updated = now
        self.asked = inf
        self.paths = frozenset(beat.paths)

    @property
    def suspected(self) -> bool:
        """Whether the node has been silent for too long, and was asked for a beat."""
        return self.asked != inf

    @property
    def beats_rarely(self) -> bool:
        """Whether its beats alone would tell too late that it is dead, so that some members watch it."""
        return self.beat.every > BEAT_INTERVAL

    @property
    def info(self) -> NodeInfo:
        """Description of the node for the application."""
        return NodeInfo(self.beat.name, self.beat.incarnation, self.beat.since, self.beat.connections)


def age(beat: Beat) -> tuple[float, str]:
    """Return the key that orders the runs of one name: the name belongs to the run with the largest."""
    return beat.since, beat.incarnation


class Membership:
    """Collection of the other members, by name.

    Attributes:
        changes: number of times that members came or went, or the paths or formats of one changed, or how it shows that
            it is alive.
    """

    __slots__ = ("_left", "_lost", "_members", "_names", "changes")

    def __init__(self) -> None:
        self._members: dict[str, Member] = {}
        self._names: dict[str, str] = {}  # by incarnation
        self._left: OrderedDict[str, tuple[int, float]] = OrderedDict()  # incarnation -> last stamp, and when it left
        self._lost: dict[str, float] = {}  # incarnations that fell silent, and when they were last heard
        self.changes = 0

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members.values())

    def __contains__(self, name: object) -> bool:
        return name in self._members

    @property
    def by_name(self) -> Mapping[str, Member]:
        """The living members by name; it changes with them."""
        return self._members

    def get(self, name: str) -> Member | None:
        """Return a living member, or None."""
        return self._members.get(name)

    def receive(self, beat: Beat, now: float) -> BeatResult:
        """Process a beat, and return what it means. It makes nobody a member."""
        member = self._members.get(beat.name)
        if member is not None and member.beat.incarnation == beat.incarnation:
            # Over several Redis, an older beat may arrive later. But a false stamp must not keep out all later beats.
            if beat.stamp >= member.beat.stamp or now - member.updated >= MAX_LATE:
                self._update(member, beat, now)
            member.last_heard = max(member.last_heard, now)
            member.asked = inf
            return BeatResult.KNOWN
        if beat.incarnation in self._names:
            return BeatResult.FALSE
        if member is not None and age(beat) < age(member.beat):
            return BeatResult.OUTDATED
        stamp, when = self._left.get(beat.incarnation, (-1, 0.0))
        if beat.stamp <= stamp and now - when < MAX_LATE:
            return BeatResult.OUTDATED  # it came over a slower Redis than the goodbye
        if member is None:
            return BeatResult.NEW if len(self._members) < MAX_MEMBERS else BeatResult.FALSE
        return BeatResult.RIVAL

    def add(self, beat: Beat, now: float) -> Member | None:
        """Make the sender of a beat a member; return the run that it replaces, if there is one."""
        replaced = self._members.get(beat.name)
        if replaced is not None:
            del self._names[replaced.beat.incarnation]
        self._members[beat.name] = Member(beat, now)
        self._names[beat.incarnation] = beat.name
        self.changes += 1
        return replaced

    def _update(self, member: Member, beat: Beat, now: float) -> None:
        paths = member.paths if beat.paths == member.beat.paths else frozenset(beat.paths)
        if member.paths != paths or len(paths) != len(beat.paths) or member.beat.msgpack != beat.msgpack:
            member.paths = frozenset(beat.paths)
            self.changes += 1
        elif (beat.every > BEAT_INTERVAL) != member.beats_rarely:
            self.changes += 1
        member.beat, member.updated = beat, now

    def leave(self, goodbye: Goodbye, now: float) -> Member | None:
        """Remove the member that says goodbye; return it if it was known."""
        self._left[goodbye.incarnation] = goodbye.stamp, now
        self._left.move_to_end(goodbye.incarnation)
        if len(self._left) > _MAX_REMEMBERED:
            self._left.popitem(last=False)
        return self.remove(goodbye.name, goodbye.incarnation)

    def remove(self, name: str, incarnation: str) -> Member | None:
        """Remove a run that is gone; return it if it was known."""
        member = self._members.get(name)
        if member is None or member.beat.incarnation != incarnation:
            return None
        del self._names[incarnation]
        self.changes += 1
        return self._members.pop(name)

    def lose(self, member: Member) -> None:
        """Remove a member that was silent for too long; it may be alive beyond a network that is broken."""
        if self.remove(member.beat.name, member.beat.incarnation) is not None:
            self._lost[member.beat.incarnation] = member.last_heard
            if len(self._lost) > _MAX_REMEMBERED:
                del self._lost[next(iter(self._lost))]

    def take_lost(self, incarnation: str) -> float | None:
        """Return when a run that is back after it was lost had last been heard; None if it was not lost."""
        return self._lost.pop(incarnation, None)

    def check_silence(self, now: float) -> tuple[list[Member], list[Member]]:
        """Return the members to ask whether they are alive (once per silence), and the dead ones."""
        doubtful, dead = [], []
        for each in self:
            silence, every = now - each.last_heard, each.beat.every
            if silence >= _LOST_BEATS * every or now - each.asked >= ANSWER_TIME:
                dead.append(each)
            elif silence >= _SILENT_BEATS * every and not each.suspected:
                each.asked = now
                doubtful.append(each)
        return doubtful, dead

    def doubt(self, name: str, incarnation: str, now: float) -> Member | None:
        """Suspect a member that another node doubts; return it if it is to be asked."""
        member = self._members.get(name)
        if member is None or member.beat.incarnation != incarnation or not member.beats_rarely:
            return None  # one that beats often shows soon enough whether it is alive
        if member.suspected or now - member.last_heard < BELIEVED_FOR:
            return None
        member.asked = now
        return member

    def reset_silence(self, now: float) -> None:
        """Count every member's silence from now on, after this node could not receive anything for a while."""
        for each in self:
            each.last_heard = now
            each.asked = inf

    def lost_path(self, path: str) -> None:
        """Assume that no member listens on a Redis that went away, until a beat of the member says so."""
        for each in self:
            each.paths -= {path}

    def common_paths(self) -> frozenset[str] | None:
        """Return the Redis that every other member listens on; None if there are no other members."""
        paths = [each.paths for each in self]
        return frozenset.intersection(*paths) if paths else None
