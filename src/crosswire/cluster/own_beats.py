"""The beats of this node: what they say, and when the next one is due."""

from __future__ import annotations

from math import inf

from crosswire.cluster.member_events import ClientLoad, HistoryDeclarations
from crosswire.cluster.ordered_port import OrderedPort
from crosswire.core.clock import HybridClock
from crosswire.core.envelopes import Beat
from crosswire.core.membership import BEAT_INTERVAL, Membership, beat_interval
from crosswire.runtime import environment
from crosswire.types import NodeInfo

FIRST_BEATS = 4
"""Beats of a node that has joined, or was cut off, which come every half second however many members there are: a
member that could not make sure yet that it is alive checks it again."""


class OwnBeats:
    """Makes the beats of this node, and knows when the next one is due.

    Args:
        own: name, incarnation and start of this node.
        members: the other members; the more there are, the more rarely this node beats.
        port: this node's end of the bus.
        load: the clients of this node.
        clock: makes the stamps.
        dialect: the label of the dialect of this node's messages for clients and of its events.
        history: the namespaces that keep history.
        owns: the namespaces whose rooms this node may own; None for all.
    """

    __slots__ = (
        "_clock",
        "_dialect",
        "_due",
        "_first",
        "_history",
        "_load",
        "_members",
        "_own",
        "_owns",
        "_port",
        "_said",
    )

    def __init__(
        self,
        own: NodeInfo,
        members: Membership,
        port: OrderedPort,
        load: ClientLoad,
        clock: HybridClock,
        dialect: str,
        history: HistoryDeclarations,
        owns: tuple[str, ...] | None,
    ) -> None:
        self._own = own
        self._members = members
        self._port = port
        self._load = load
        self._clock = clock
        self._dialect = dialect
        self._history = history
        self._owns = owns
        self._due = -inf
        self._first = FIRST_BEATS
        self._said: Beat | None = None

    def make(self, *, asks: bool = False) -> Beat:
        """Make a beat; ``asks`` is whether nodes that receive it are to answer with beats of their own."""
        return Beat(
            *self._own[:3],
            self._clock.stamp(),
            self._load.connections,
            self._load.serves,
            self._load.wants_msgpack,
            self._port.paths,
            asks,
            self._dialect,
            self._owns,
            self._history.announced,
            batches=True,
            texts=True,
            every=beat_interval(len(self._members) + 1),
        )

    def sent(self, beat: Beat, now: float) -> None:
        """Take note of a beat that is sent to all nodes."""
        self._said = beat
        self._first = FIRST_BEATS if beat.asks else self._first - 1
        self._due = now + BEAT_INTERVAL
        if self._first <= 0:  # where beats are rare, nodes that have started together don't beat together for long
            self._due = now + max(BEAT_INTERVAL, beat.every * (1 + environment.random()) / 2)

    def want(self) -> None:
        """Have a beat sent in the next turn: somebody needs a sign of life of this node, or many do."""
        self._due = -inf

    def is_due(self, now: float) -> bool:
        """Return whether it is time for a beat, or the last one does not hold any more; asked every half interval."""
        return now >= self._due - BEAT_INTERVAL / 4 or self._has_changed()

    def _has_changed(self) -> bool:
        """Return whether something is true now that other nodes act upon, and that the last beat did not say."""
        said = self._said
        return said is not None and (said.serves, said.msgpack, said.history) != (
            self._load.serves,
            self._load.wants_msgpack,
            self._history.announced,
        )
