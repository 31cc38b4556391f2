"""The living nodes of the cluster: this node's beats, the beats of others, and members that fall silent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from itertools import count
from math import inf
from typing import Any, Protocol

from crosswire.cluster.life_checks import LifeChecks
from crosswire.cluster.native import NativeDialect
from crosswire.cluster.newcomers import Newcomers
from crosswire.cluster.ordered_port import OrderedPort
from crosswire.core.clock import HybridClock
from crosswire.core.envelopes import Beat, Goodbye, HistoryDeclaration, NameTaken
from crosswire.core.membership import BEAT_INTERVAL, DEAD_AFTER, BeatResult, Member, Membership
from crosswire.core.ownership import may_own
from crosswire.core.throttle import Throttle
from crosswire.errors import ConfigError
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.log_records import get_logger
from crosswire.types import NodeInfo

logger = get_logger("crosswire.cluster")

HOLDER_TIMEOUT = 1.0
"""Seconds that a node which wants a name waits for an answer of the node that has it."""
WELCOME_TIMEOUT = 0.5
"""Seconds that a node which joins waits for the members' beats."""
MAX_ANSWERS = 500
"""Beats and refusals of a name that are sent in answer to other nodes in a second; who gets none asks again."""
MAX_TIMER_DELAY = 1.0
"""Seconds by which this node's own timer may be late. Beyond that this process stood still, and the silence of other
nodes does not count."""


class ClientLoad(Protocol):
    """The clients of a node, as its beats describe them."""

    @property
    def connections(self) -> int:
        """Number of clients that are connected to the node."""
        ...

    @property
    def serves(self) -> bool:
        """Whether the node is a server."""
        ...

    @property
    def wants_msgpack(self) -> bool:
        """Whether some of the clients want MessagePack."""
        ...


class MembershipEvents(Protocol):
    """Callbacks for nodes that join and leave."""

    def joined(self, info: NodeInfo) -> None:
        """Handle a node that has joined."""

    def left(self, info: NodeInfo, reason: str) -> None:
        """Handle a node that is gone; ``reason`` is "goodbye", "timeout" or "replaced"."""

    def replaced(self) -> None:
        """Handle that another node has taken over this node's name."""


class HistoryDeclarations(Protocol):
    """The declarations of the namespaces that keep history, which travel in beats."""

    @property
    def announced(self) -> tuple[HistoryDeclaration, ...]:
        """The declarations in the beats of this node."""
        ...

    def heard(self, name: str, incarnation: str, declared: tuple[HistoryDeclaration, ...] | None) -> None:
        """Take what a member says in its beats."""

    def gone(self, incarnation: str) -> None:
        """Take note that a member is gone."""


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
        holder_timeout: seconds to wait for an answer of the node that has this node's name.
        welcome_timeout: seconds to wait for the members' beats when this node joins.

    Attributes:
        want_msgpack: whether another member has clients that want MessagePack.
        lack_history: whether another member is a server of a version that knows no history, and reads no log.
        admitted: whether this node has its name, and other nodes know of it.
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
        holder_timeout: float = HOLDER_TIMEOUT,
        welcome_timeout: float = WELCOME_TIMEOUT,
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
        self._holder_timeout = holder_timeout
        self._welcome_timeout = welcome_timeout
        self._warned: set[str] = set()
        self._checks = checks
        self._tasks = tasks
        self._newcomers = Newcomers(self._check_newcomer, tasks)
        self._being_checked: set[str] = set()  # incarnations that say goodbye or want a name
        self._waiting_for_checks: list[asyncio.Future[None]] = []
        self._answers = Throttle(MAX_ANSWERS, 1.0)
        self._recounting = False
        self._members = Membership()
        self.admitted = False
        self._name_taken = self._announced = self._gave_way = self._leaves = False
        self._changes: asyncio.Event = asyncio.Event()
        self.want_msgpack = self.lack_history = False

    @property
    def announced(self) -> bool:
        """Whether this node has sent its first beat, or is about to."""
        return self._announced

    @property
    def nodes(self) -> dict[str, NodeInfo]:
        """The living members by name, this node first."""
        own = self._own._replace(connections=self._load.connections)
        return {own.name: own, **{each.beat.name: each.info for each in self._members}}

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

    # Joining

    async def claim_name(self) -> None:
        """Check that no living node has this node's name.

        Raises:
            ConfigError: a living node has it.
        """
        self._announced = False
        listeners = await self._port.count_listeners(self._native.own_channels.name)
        if listeners is not None and listeners <= 1:  # this node is one; if listeners can't be counted, ask
            return
        self._native.send_to_name(self._own.name, self._beat(asks=True))
        await self._wait(lambda: self._name_taken, self._holder_timeout)
        await self._require_name()

    async def introduce(self) -> None:
        """Send the first beat, and wait a little for the beats of the other nodes.

        Raises:
            ConfigError: a node that has started at the same time has the same name.
        """
        listeners = await self._port.count_listeners(self._native.own_channels.all_nodes)
        expected = inf if listeners is None else listeners - 1
        await self._require_name()  # if this node stood still, NameTaken may have come only after the timeout
        self._announced = True
        self._native.announce(self._beat(asks=True))
        await self._wait(lambda: self._name_taken or len(self._members) >= expected, self._welcome_timeout)
        await self._require_name()
        self.admitted = True

    async def wait_for_all(self) -> None:
        """Wait until all members are known, also members that were too slow for :meth:`introduce`.

        It takes no longer than the silence after which a member counts as dead.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + DEAD_AFTER
        while (remaining := deadline - loop.time()) > 0:
            known = len(self._members)
            listeners = await self._port.count_listeners(self._native.own_channels.all_nodes)
            if listeners is not None and known >= listeners - 1:
                return
            await self._wait(partial(self._knows_more_than, known), min(remaining, BEAT_INTERVAL))

    def _knows_more_than(self, known: int) -> bool:
        return len(self._members) > known

    def end_checks(self) -> None:
        """Begin no more checks in the background, as this node leaves."""
        self._leaves = True

    def announce_leave(self) -> None:
        """Announce to all nodes that this node leaves."""
        self._native.announce(Goodbye(self._own.name, self._own.incarnation, self._clock.stamp()))

    async def _wait(self, condition: Callable[[], bool], timeout: float) -> None:
        with suppress(TimeoutError):  # the caller checks the outcome
            async with asyncio.timeout(timeout):
                while not condition():
                    self._changes.clear()
                    await self._changes.wait()

    async def _require_name(self) -> None:
        if self._own.incarnation in self._being_checked:  # there is a message that the name is taken
            await self._wait(lambda: self._own.incarnation not in self._being_checked, 2 * self._holder_timeout)
        if self._name_taken:
            raise ConfigError(f"there is a living node of the name {self._own.name!r} already: choose another name")

    # Staying alive

    async def run(self) -> None:
        """Send beats, and check twice as often for members that have fallen silent, until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for turn in count(1):
            due += BEAT_INTERVAL / 2
            await asyncio.sleep(max(due - loop.time(), 0))
            now = loop.time()
            if now - due > MAX_TIMER_DELAY or not self._port.available:
                self._members.reset_silence(now)
                due = now
            if turn % 2 == 0:
                self.send_beat()
            self._check_silence(now)

    def send_beat(self, *, asks: bool = False) -> None:
        """Send a beat at once, as something about this node changed.

        Does nothing until this node has joined, as another node may still have its name.

        Args:
            asks: whether other nodes answer with their beats.
        """
        if self.admitted and not self._gave_way:
            self._native.announce(self._beat(asks=asks))

    def reset_silence(self) -> None:
        """Count every member's silence from now on."""
        self._members.reset_silence(asyncio.get_running_loop().time())

    def path_lost(self, path: str) -> None:
        """Assume that no member listens on a path that this node lost, until a beat of the member says so."""
        self._members.lost_path(path)
        self._port.use_paths(self._members.common_paths())

    def _beat(self, *, asks: bool = False) -> Beat:
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
        )

    def _check_silence(self, now: float) -> None:
        doubtful, dead = self._members.check_silence(now)
        for member in doubtful:
            self._native.send_to_incarnation(member.beat.incarnation, self._beat(asks=True))
        for member in dead:
            self._members.lose(member)
            self._gone(member, "timeout")

    # MemberInbox

    def beat(self, beat: Beat) -> None:
        """Process the beat of a node."""
        self._update_clock(beat)
        if beat.incarnation == self._own.incarnation:
            return
        if beat.name == self._own.name:
            self._contest_name(beat)
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
        elif not self._leaves:
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
            while holder.beat.incarnation in self._being_checked:  # it has said goodbye
                await self._end_of_a_check()
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
            self._check(goodbye.incarnation, self._check_goodbye(goodbye))

    async def _check_goodbye(self, goodbye: Goodbye) -> None:
        if await self._checks.has_left(goodbye.incarnation):
            member = self._members.leave(goodbye, asyncio.get_running_loop().time())
            if member is not None:
                self._gone(member, "goodbye")
        else:
            self._native.note_unreadable(f"{goodbye.name!r} has not left")

    def name_taken(self, taken: NameTaken) -> None:
        """Process the message that another node has this node's name, which may be false.

        A node that is admitted waits for a beat of the other node.
        """
        if taken.incarnation != self._own.incarnation or (self._announced and not taken.replaced) or self.admitted:
            return  # or too late: other nodes know already that the name is this node's
        self._check(self._own.incarnation, self._check_name())

    async def _check_name(self) -> None:
        """Find out whether another node has this node's name, which is just starting."""
        if await self._checks.name_is_held(self._native.own_channels.name):
            self._name_taken = True
        else:
            self._native.note_unreadable(f"nobody else has the name {self._own.name!r}")

    async def _check_rival(self, beat: Beat) -> None:
        """Give way to a living node with this node's name: this node did not answer when it was asked."""
        rival = self._native.incarnation_channel(beat.incarnation)
        if await self._port.count_listeners(rival) == 0 or not await self._checks.answers(rival):
            self._native.note_unreadable(f"nobody else has the name {self._own.name!r}")
        elif not self._gave_way:
            self._gave_way = True
            self._events.replaced()

    def _check(self, incarnation: str, check: Coroutine[Any, Any, None]) -> None:
        """Run a check of a node in the background, unless there is one already."""

        async def run() -> None:
            try:
                await check
            finally:
                self._being_checked.discard(incarnation)
                self._changes.set()
                waiting, self._waiting_for_checks = self._waiting_for_checks, []
                for each in waiting:
                    if not each.done():
                        each.set_result(None)

        if incarnation in self._being_checked or self._leaves:
            check.close()
            return
        self._being_checked.add(incarnation)
        self._tasks.start(run(), "crosswire check of a node")

    async def _end_of_a_check(self) -> None:
        """Wait until one of the checks has ended."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting_for_checks.append(waiter)
        await waiter

    def _answer(self, incarnation: str, message: Beat | NameTaken) -> None:
        """Answer a run of a node, if there were not too many answers lately: anybody can make this node answer."""
        if self._answers.admit(None, asyncio.get_running_loop().time()) is not None:
            self._native.send_to_incarnation(incarnation, message)

    def _update_clock(self, message: Beat | Goodbye) -> None:
        """Adopt the stamp of a message, unless it is too far ahead; the rest of the message counts even so."""
        if not self._clock.update(message.stamp):
            self._native.note_unreadable(f"the clock of {message.name!r} is too far ahead")

    def _contest_name(self, beat: Beat) -> None:
        """Tell a node with this node's name that it can't have the name, if that is so.

        The older node keeps the name, unless it did not answer in time when the newer one started.
        """
        older = (self._own.since, self._own.incarnation) < (beat.since, beat.incarnation)
        if self.admitted and older and not beat.asks:
            # Perhaps this node did not answer in time, and the other node has joined with the name.
            self._check(self._own.incarnation, self._check_rival(beat))
        elif older or self.admitted:
            replaced = self.admitted and not older
            self._answer(beat.incarnation, NameTaken(beat.name, beat.incarnation, replaced))

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
