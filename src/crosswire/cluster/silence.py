"""Finds out which members have fallen silent: by their beats, and by the answers of those that beat rarely."""

from __future__ import annotations

from collections.abc import Callable

from crosswire.cluster.native import NativeDialect
from crosswire.cluster.own_beats import OwnBeats
from crosswire.core.envelopes import Doubt
from crosswire.core.membership import Member, Membership
from crosswire.core.watch import WATCH_INTERVAL, Watch


class Silence:
    """Asks members that have been silent for too long whether they are alive, and gives up those that don't answer.

    In a large cluster members beat rarely. Then each node asks the few that it watches twice a second. Where one does
    not answer, the node tells all nodes of its doubt, and each of them asks for itself before it gives the member up:
    no node takes a living one for dead because another one can't hear it.

    Args:
        own: the incarnation of this node.
        members: the other members.
        native: sends questions and doubts.
        beats: makes the questions.
        dead: called with each member that is given up.
    """

    __slots__ = ("_beats", "_chosen_at", "_dead", "_members", "_native", "_next_questions", "_own", "_watch")

    def __init__(
        self,
        own: str,
        members: Membership,
        native: NativeDialect,
        beats: OwnBeats,
        dead: Callable[[Member], None],
    ) -> None:
        self._own = own
        self._members = members
        self._native = native
        self._beats = beats
        self._dead = dead
        self._watch = Watch(own)
        self._chosen_at = -1  # the changes of the members at that time
        self._next_questions = 0.0

    def check(self, now: float) -> None:
        """Ask who must be asked, and give up who has not answered; called every half interval of beats."""
        doubtful, dead = self._members.check_silence(now)
        for member in doubtful:
            self._ask(member)
        for member in dead:
            self._dead(member)
        self._ask_the_watched(now)

    def doubted(self, doubt: Doubt, now: float) -> None:
        """Ask a member that another node doubts, or show that it is this node and alive."""
        if doubt.incarnation == self._own:
            self._beats.want()
        elif (member := self._members.doubt(doubt.name, doubt.incarnation, now)) is not None:
            self._ask(member)

    def _ask_the_watched(self, now: float) -> None:
        if self._members.changes != self._chosen_at:
            self._choose(now)
        to_ask = silent = self._watch.silent(now)
        for member in silent:
            self._members.doubt(member.beat.name, member.beat.incarnation, now)
            self._native.announce(Doubt(member.beat.name, member.beat.incarnation))
        if silent:
            self._choose(now)
        if now >= self._next_questions - WATCH_INTERVAL / 4:
            self._next_questions = now + WATCH_INTERVAL
            to_ask = list(self._watch)
        for member in to_ask:
            self._ask(member)

    def _choose(self, now: float) -> None:
        self._chosen_at = self._members.changes
        self._watch.choose(self._members, now)

    def _ask(self, member: Member) -> None:
        self._native.send_to_incarnation(member.beat.incarnation, self._beats.make(asks=True))
