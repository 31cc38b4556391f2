"""The name of this node, which only one living node may have."""

from __future__ import annotations

from collections.abc import Callable

from crosswire.cluster.life_checks import LifeChecks
from crosswire.cluster.native import NativeDialect
from crosswire.cluster.ordered_port import OrderedPort
from crosswire.cluster.running_checks import RunningChecks
from crosswire.core.envelopes import Beat, NameTaken
from crosswire.types import NodeInfo


class OwnName:
    """Finds out which of two nodes keeps a name that this node has, or wants.

    The older node keeps the name, unless it did not answer in time when the newer one started.

    Args:
        own: name, incarnation and start of this node.
        native: sends questions.
        port: counts listeners.
        checks: asks other nodes whether they are alive.
        running: runs these checks.
        answer: sends an answer to the run of a node.
        replaced: called when another node has taken over the name.

    Attributes:
        taken: whether a living node has the name, so that this one can't start.
        announced: whether this node has sent its first beat, or is about to.
        admitted: whether this node has the name, and other nodes know of it.
        gave_way: whether another node has taken over the name.
    """

    __slots__ = (
        "_answer",
        "_checks",
        "_native",
        "_own",
        "_port",
        "_replaced",
        "_running",
        "admitted",
        "announced",
        "gave_way",
        "taken",
    )

    def __init__(
        self,
        own: NodeInfo,
        native: NativeDialect,
        port: OrderedPort,
        *,
        checks: LifeChecks,
        running: RunningChecks,
        answer: Callable[[str, NameTaken], None],
        replaced: Callable[[], None],
    ) -> None:
        self._own = own
        self._native = native
        self._port = port
        self._checks = checks
        self._running = running
        self._answer = answer
        self._replaced = replaced
        self.taken = self.announced = self.admitted = self.gave_way = False

    async def may_be_held(self) -> bool:
        """Return whether another node may listen on the channel of the name."""
        listeners = await self._port.count_listeners(self._native.own_channels.name)
        return listeners is None or listeners > 1  # this node is one; if listeners can't be counted, ask

    def refused(self, taken: NameTaken) -> None:
        """Process the message that another node has this node's name, which may be false.

        A node that is admitted waits for a beat of the other node.
        """
        if taken.incarnation != self._own.incarnation or (self.announced and not taken.replaced) or self.admitted:
            return  # or too late: other nodes know already that the name is this node's
        self._running.start(self._own.incarnation, self._check_holder())

    def contest(self, beat: Beat) -> None:
        """Tell a node with this node's name that it can't have the name, if that is so."""
        older = (self._own.since, self._own.incarnation) < (beat.since, beat.incarnation)
        if self.admitted and older and not beat.asks:
            # Perhaps this node did not answer in time, and the other node has joined with the name.
            self._running.start(self._own.incarnation, self._check_rival(beat))
        elif older or self.admitted:
            replaced = self.admitted and not older
            self._answer(beat.incarnation, NameTaken(beat.name, beat.incarnation, replaced))

    async def _check_holder(self) -> None:
        """Find out whether another node has this node's name, which is just starting."""
        if await self._checks.name_is_held(self._native.own_channels.name):
            self.taken = True
        else:
            self._native.note_unreadable(f"nobody else has the name {self._own.name!r}")

    async def _check_rival(self, beat: Beat) -> None:
        """Give way to a living node with this node's name: this node did not answer when it was asked."""
        rival = self._native.incarnation_channel(beat.incarnation)
        if await self._port.count_listeners(rival) == 0 or not await self._checks.answers(rival):
            self._native.note_unreadable(f"nobody else has the name {self._own.name!r}")
        elif not self.gave_way:
            self.gave_way = True
            self._replaced()
