"""The living nodes of the cluster: this node's beats, the beats of others, and members that fall silent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial

from crosswire.cluster.joining import Joining
from crosswire.cluster.life_checks import LifeChecks
from crosswire.cluster.member_events import ClientLoad, HistoryDeclarations, MembershipEvents
from crosswire.cluster.native import NativeDialect
from crosswire.cluster.newcomers import Newcomers
from crosswire.cluster.ordered_port import OrderedPort
from crosswire.cluster.own_beats import OwnBeats
from crosswire.cluster.own_name import OwnName
from crosswire.cluster.running_checks import RunningChecks
from crosswire.cluster.silence import Silence
from crosswire.core.clock import HybridClock
from crosswire.core.envelopes import Beat, Doubt, Goodbye, NameTaken
from crosswire.core.membership import BEAT_INTERVAL, BeatResult, Member, Membership
from crosswire.core.ownership import may_own
from crosswire.core.throttle import Throttle
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.log_records import get_logger
from crosswire.types import NodeInfo

logger = get_logger("crosswire.cluster")

MAX_ANSWERS = 500
"""Beats and refusals of a name that are sent in answer to other nodes in a second; who gets none asks again."""
MAX_TIMER_DELAY = 1.0
"""Seconds by which this node's own timer may be late. Beyond that this process stood still, and the silence of other
nodes does not count."""


class Members:
    """The members of the cluster, as one node knows them.

    Args:
        own: name, incarnation and start of this node.
        native: sends this node's beats.
        port: this node's end of the bus.
        load: the clients of this node.
        events: callbacks for nodes that join and leave.
        clock: makes this node's stamps, and reads the stamps of other nodes.
        dialect: the label of the dialect of this node's messages for clients and of its events.
        history: the namespaces that keep history.
        owns: the namespaces whose rooms this node may own; None for all.
        checks: asks other nodes whether they are alive. Anybody can publish what looks like a message of a node.
        tasks: where these checks run.

    Attributes:
        joining: lets this node join.
        want_msgpack: whether another member has clients that want MessagePack.
        lack_history: whether another member is a server of a version that knows no history, and reads no log.
    """

    def __init__(
        self,
        own: NodeInfo,
        native: NativeDialect,
        port: OrderedPort,
        load: ClientLoad,
        events: MembershipEvents,
        clock: HybridClock,
        dialect: str,
        history: HistoryDeclarations,
        owns: tuple[str, ...] | None = None,
        *,
        checks: LifeChecks,
        tasks: BackgroundTasks,
    ) -> None:
        self._own = own
        self._native = native
        self._port = port
        self._load = load
        self._events = events
        self._clock = clock
        self._dialect = dialect
        self._history = history
        self._owns = owns
        self._members = Membership()
        self._beats = OwnBeats(own, self._members, port, load, clock, dialect, history, owns)
        self._silence = Silence(own.incarnation, self._members, native, self._beats, self._lost)
        self._warned: set[str] = set()
        self._checks = checks
        self._tasks = tasks
        self._newcomers = Newcomers(self._check_newcomer, tasks)
        self._changes = asyncio.Event()
        self._running_checks = RunningChecks(tasks, self._changes.set)  # of nodes that say goodbye or want a name
        self._name = OwnName(
            own,
            native,
            port,
            checks=checks,
            running=self._running_checks,
            answer=self._answer,
            replaced=events.replaced,
        )
        self.joining = Joining(
            own,
            native,
            port,
            self._name,
            self._members,
            self._running_checks,
            self._changes,
            beat=partial(self._beat, asks=True),
            announce=partial(self._announce_beat, asks=True),
        )
        self._answers = Throttle(MAX_ANSWERS, 1.0)
        self._recounting = False
        self.want_msgpack = self.lack_history = False

    @property
    def announced(self) -> bool:
        """Whether this node has sent its first beat, or is about to."""
        return self._name.announced

    @property
    def admitted(self) -> bool:
        """Whether this node has its name, and other nodes know of it."""
        return self._name.admitted

    @property
    def nodes(self) -> dict[str, NodeInfo]:
        """The living members by name, this node first."""
        own = self._own._replace(connections=self._load.connections)
        return {own.name: own, **{each.beat.name: each.info for each in self._members}}

    @property
    def others(self) -> Mapping[str, Member]:
        """The other living members by name; it changes with them."""
        return self._members.by_name

    @property
    def number(self) -> int:
        """The number of living members, this node included; for any thread."""
        return len(self._members) + 1

    @property
    def names(self) -> list[str]:
        """The names of the other living members."""
        return [each.beat.name for each in self._members]

    def may_own(self, namespace: str) -> list[str]:
        """Return the names of the living members, with this node, that may own rooms of a namespace."""
        names = [each.beat.name for each in self._members if may_own(each.beat.owns, namespace)]
        if may_own(self._owns, namespace):
            names.append(self._own.name)
        return names

    @property
    def servers(self) -> list[str]:
        """The names of the other living members that are servers."""
        return [each.beat.name for each in self._members if each.beat.serves]

    @property
    def incompatible(self) -> dict[str, str]:
        """The dialects of the living members that do not speak this node's dialect, by name."""
        return {each.beat.name: each.beat.dialect for each in self._members if self._is_incompatible(each.beat)}

    def __contains__(self, name: object) -> bool:
        return name in self._members

    # Leaving

    def end_checks(self) -> None:
        """Begin no more checks in the background, as this node leaves."""
        self._running_checks.close()

    def announce_leave(self) -> None:
        """Announce to all nodes that this node leaves."""
        self._native.announce(Goodbye(self._own.name, self._own.incarnation, self._clock.stamp()))

    # Staying alive

    async def run(self) -> None:
        """Send beats when they are due, and look for members that have fallen silent, until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += BEAT_INTERVAL / 2
            await asyncio.sleep(max(due - loop.time(), 0))
            now = loop.time()
            stood_still = now - due > MAX_TIMER_DELAY
            if stood_still or not self._port.available:
                self._members.reset_silence(now)
                due = now
            if stood_still:
                self._beats.want()  # other nodes may have given this one up
            if self._beats.is_due(now):
                self.send_beat()
            self._silence.check(now)

    def send_beat(self, *, asks: bool = False) -> None:
        """Send a beat at once, as something about this node changed.

        Does nothing until this node has joined, as another node may still have its name.

        Args:
            asks: whether other nodes answer with their beats.
        """
        if self.admitted and not self._name.gave_way:
            self._announce_beat(asks=asks)

    def reset_silence(self) -> None:
        """Count every member's silence from now on."""
        self._members.reset_silence(asyncio.get_running_loop().time())

    def path_lost(self, path: str) -> None:
        """Assume that no member listens on a path that this node lost, until a beat of the member says so."""
        self._members.lost_path(path)
        self._port.use_paths(self._members.common_paths())

    def _announce_beat(self, *, asks: bool) -> None:
        beat = self._beat(asks=asks)
        self._native.announce(beat)
        self._beats.sent(beat, asyncio.get_running_loop().time())

    def _beat(self, *, asks: bool = False) -> Beat:
        return self._beats.make(asks=asks)

    def _lost(self, member: Member) -> None:
        self._members.lose(member)
        self._gone(member, "timeout")

    # MemberInbox

    def beat(self, beat: Beat) -> None:
        """Process the beat of a node."""
        self._update_clock(beat)
        if beat.incarnation == self._own.incarnation:
            return
        if beat.name == self._own.name:
            self._name.contest(beat)
            return
        changes = self._members.changes
        result = self._members.receive(beat, asyncio.get_running_loop().time())
        if result is BeatResult.KNOWN:
            self._warn_of_other_dialect(beat)
            self._hear_history(beat.name)
            if beat.asks:
                self._answer(beat.incarnation, self._beat())
            if self._members.changes != changes:
                self._changed()
        elif result is BeatResult.OUTDATED:
            self._answer(beat.incarnation, NameTaken(beat.name, beat.incarnation, replaced=True))
        elif result is BeatResult.FALSE:
            self._native.note_unreadable(f"{beat.name!r} is the run of another node, or one node too many")
        elif not self._running_checks.closed:
            self._newcomers.add(beat)

    def unproven_beat(self, beat: Beat) -> None:
        """Process a beat that may be a replay: it is no sign of life of a member."""
        member = self._members.get(beat.name)
        if member is None or member.beat.incarnation != beat.incarnation:
            self.beat(beat)

    async def _check_newcomer(self, beat: Beat) -> None:
        """Make the sender of a beat a member if it is alive, and the node that has its name is not."""
        if not await self._checks.listens(beat.incarnation):
            if self._port.available:  # else listeners can't be counted; the next beat is checked again
                self._native.note_unreadable(f"nobody listens as {beat.name!r}")
            return
        loop = asyncio.get_running_loop()
        if (holder := self._members.get(beat.name)) is not None:
            while holder.beat.incarnation in self._running_checks:  # it has said goodbye
                await self._running_checks.wait_for_end()
        if beat.asks:
            loop.call_soon(self._answer, beat.incarnation, self._beat())
        if await self._gets_name(beat):
            replaced = self._members.add(beat, loop.time())
            if replaced is not None:
                self._gone(replaced, "replaced")
            self._port.remember(bytes.fromhex(beat.incarnation))
            self._hear_history(beat.name)
            if (last_heard := self._members.take_lost(beat.incarnation)) is not None:
                self._port.messages_missed((), last_heard)  # what it sent meanwhile; its numbers were forgotten
            self._events.joined(self._info_of(beat.name))
            self._changed()

    def _hear_history(self, name: str) -> None:
        """Take the declarations in the newest beat of a member."""
        if (member := self._members.get(name)) is not None:
            self._history.heard(name, member.beat.incarnation, member.beat.history)

    async def _gets_name(self, beat: Beat) -> bool:
        """Return whether a newcomer is to be a member: if another node has its name, that one must be gone."""
        loop = asyncio.get_running_loop()
        result = self._members.receive(beat, loop.time())
        if result is not BeatResult.RIVAL:
            return result is BeatResult.NEW
        holder = self._members.get(beat.name)
        if holder is None or not await self._checks.has_left(holder.beat.incarnation):
            return False  # it keeps its name; the newcomer beats again, if it does not give up
        result = self._members.receive(beat, loop.time())
        # Meanwhile another newcomer may have got the name.
        return result is BeatResult.NEW or (result is BeatResult.RIVAL and self._members.get(beat.name) is holder)

    def goodbye(self, goodbye: Goodbye) -> None:
        """Process the goodbye of a node: it has left if nobody listens as it any more, or nobody answers."""
        self._update_clock(goodbye)
        member = self._members.get(goodbye.name)
        if member is None or member.beat.incarnation != goodbye.incarnation:
            self._members.leave(goodbye, asyncio.get_running_loop().time())
        else:
            self._running_checks.start(goodbye.incarnation, self._check_goodbye(goodbye))

    async def _check_goodbye(self, goodbye: Goodbye) -> None:
        if await self._checks.has_left(goodbye.incarnation):
            member = self._members.leave(goodbye, asyncio.get_running_loop().time())
            if member is not None:
                self._gone(member, "goodbye")
        else:
            self._native.note_unreadable(f"{goodbye.name!r} has not left")

    def doubted(self, doubt: Doubt) -> None:
        """Process the doubt of a node whether a member is alive."""
        self._silence.doubted(doubt, asyncio.get_running_loop().time())

    def name_taken(self, taken: NameTaken) -> None:
        """Process the message that another node has this node's name, which may be false."""
        self._name.refused(taken)

    def _answer(self, incarnation: str, message: Beat | NameTaken) -> None:
        """Answer a run of a node, if there were not too many answers lately: anybody can make this node answer.

        Nodes that get no answer hear the next beat.
        """
        if self._answers.admit(None, asyncio.get_running_loop().time()) is not None:
            self._native.send_to_incarnation(incarnation, message)
        else:
            self._beats.want()

    def _update_clock(self, message: Beat | Goodbye) -> None:
        """Adopt the stamp of a message, unless it is too far ahead; the rest of the message counts even so."""
        if not self._clock.update(message.stamp):
            self._native.note_unreadable(f"the clock of {message.name!r} is too far ahead")

    def _warn_of_other_dialect(self, beat: Beat) -> None:
        """Warn once of a member with another dialect, at its second beat: `crosswire nodes` joins only for a moment."""
        if self._is_incompatible(beat) and beat.incarnation not in self._warned:
            self._warned.add(beat.incarnation)
            logger.warning(
                "node %r speaks %r and this one %r, so they lose each other's messages: "
                "give all nodes of a cluster the same compat= in Redis(...)",
                beat.name,
                beat.dialect,
                self._dialect,
            )

    def _is_incompatible(self, beat: Beat) -> bool:
        return beat.dialect != self._dialect

    def _info_of(self, name: str) -> NodeInfo:
        member = self._members.get(name)
        assert member is not None, "its beat has just been processed"
        return member.info

    def _gone(self, member: Member, reason: str) -> None:
        self._warned.discard(member.beat.incarnation)
        self._history.gone(member.beat.incarnation)
        self._port.forget(bytes.fromhex(member.beat.incarnation))
        self._events.left(member.info, reason)
        self._changed()

    def _changed(self) -> None:
        """Find out in this turn of the event loop, once, what all members have in common."""
        self._changes.set()
        if not self._recounting:
            self._recounting = True
            asyncio.get_running_loop().call_soon(self._recount)

    def _recount(self) -> None:
        self._recounting = False
        self._port.use_paths(self._members.common_paths())
        self.want_msgpack = any(each.beat.msgpack for each in self._members)
        self.lack_history = any(each.beat.serves and each.beat.history is None for each in self._members)
        self._port.joins = all(each.beat.batches for each in self._members)
        self._port.joins_texts = all(each.beat.texts for each in self._members)
