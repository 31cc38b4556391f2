"""Keeps up with who is alive: says that this node is, listens to the others, and notices who falls silent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import count
from math import inf
from typing import Protocol

from crosswire.cluster.native import NativeDialect
from crosswire.cluster.ordered_port import OrderedPort
from crosswire.core.clock import HybridClock
from crosswire.core.envelopes import Beat, Goodbye, NameTaken
from crosswire.core.membership import BEAT_INTERVAL, DEAD_AFTER, BeatResult, Member, Membership
from crosswire.errors import ConfigError
from crosswire.types import NodeInfo

logger = logging.getLogger("crosswire.cluster")

HOLDER_PATIENCE = 1.0
"""Seconds that the holder of a name has to say so."""
WELCOME_PATIENCE = 0.5
"""Seconds that the members have to answer a newcomer."""
_STALLED = 1.0
"""Seconds by which this node's own timer may be late before it holds nobody's silence against them."""


class Load(Protocol):
    """What a node tells of its clients."""

    @property
    def connections(self) -> int:
        """Clients connected to it."""
        ...

    @property
    def serves(self) -> bool:
        """Whether it is a server."""
        ...

    @property
    def wants_msgpack(self) -> bool:
        """Whether it has clients that want MessagePack."""
        ...


class MembershipEvents(Protocol):
    """Who is told who comes and goes."""

    def joined(self, info: NodeInfo) -> None:
        """A node is there."""

    def left(self, info: NodeInfo, reason: str) -> None:
        """A node is gone; ``reason`` is "goodbye", "timeout" or "replaced"."""

    def replaced(self) -> None:
        """Another node has this node's name now."""


class Members:
    """The members of the cluster, as this node knows them.

    Args:
        own: this node: its name, incarnation and start.
        native: speaks for it.
        port: the node's end of the bus.
        load: what is told of its clients.
        owner: is told who comes and goes.
        clock: gives and takes stamps.
        dialect: in which this node carries what applications say.

    Attributes:
        want_msgpack: whether any other member has clients that want MessagePack.
        admitted: whether the name is this node's, and the others have been told.
    """

    def __init__(
        self,
        own: NodeInfo,
        native: NativeDialect,
        port: OrderedPort,
        load: Load,
        owner: MembershipEvents,
        clock: HybridClock,
        dialect: str,
    ) -> None:
        self._own = own
        self._native = native
        self._port = port
        self._load = load
        self._owner = owner
        self._clock = clock
        self._dialect = dialect
        self._warned: set[str] = set()
        self._members = Membership()
        self.admitted = False
        self._taken = self._announced = False
        self._heard: asyncio.Event = asyncio.Event()
        self.want_msgpack = False

    @property
    def announced(self) -> bool:
        """Whether the others have been told of this node, or are about to be."""
        return self._announced

    @property
    def nodes(self) -> dict[str, NodeInfo]:
        """All living members, this node first."""
        own = self._own._replace(connections=self._load.connections)
        return {own.name: own, **{each.beat.name: each.info for each in self._members}}

    @property
    def names(self) -> set[str]:
        """The names of the other living members."""
        return {each.beat.name for each in self._members}

    @property
    def servers(self) -> set[str]:
        """The names of those of them that are servers."""
        return {each.beat.name for each in self._members if each.beat.serves}

    @property
    def incompatible(self) -> dict[str, str]:
        """Those of them that speak another dialect than this node, and which."""
        return {each.beat.name: each.beat.dialect for each in self._members if self._is_strange(each.beat)}

    def __contains__(self, name: object) -> bool:
        return name in self._members

    # Coming

    async def claim_name(self) -> None:
        """See that no living node has this node's name.

        Raises:
            ConfigError: one has.
        """
        self._announced = False
        listeners = await self._port.listeners(self._native.own_channels.name)
        if listeners is not None and listeners <= 1:  # this node itself is one; where they can't be counted, ask
            return
        self._native.tell_name(self._own.name, self._beat(asks=True))
        await self._wait(lambda: self._taken, HOLDER_PATIENCE)
        self._require_name()

    async def introduce(self) -> None:
        """Tell the others of this node, and wait a little until they have told of themselves.

        Raises:
            ConfigError: one that has started at the same time has the same name.
        """
        listeners = await self._port.listeners(self._native.own_channels.all_nodes)
        expected = inf if listeners is None else listeners - 1
        self._require_name()  # who waited for the holder while it stood still itself may have the answer by now
        self._announced = True
        self._native.announce(self._beat(asks=True))
        await self._wait(lambda: self._taken or len(self._members) >= expected, WELCOME_PATIENCE)
        self._require_name()
        self.admitted = True

    async def wait_for_all(self) -> None:
        """Wait for those whom :meth:`introduce` has not waited for: a member that is slow is there all the same.

        It takes no longer than a silence after which a member is dead.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + DEAD_AFTER
        while (remaining := deadline - loop.time()) > 0:
            known = len(self._members)
            listeners = await self._port.listeners(self._native.own_channels.all_nodes)
            if listeners is not None and known >= listeners - 1:
                return
            await self._wait(partial(self._knows_more_than, known), min(remaining, BEAT_INTERVAL))

    def _knows_more_than(self, known: int) -> bool:
        return len(self._members) > known

    def say_goodbye(self) -> None:
        """Tell the others that this node leaves."""
        self._native.announce(Goodbye(self._own.name, self._own.incarnation, self._clock.stamp()))

    async def _wait(self, condition: Callable[[], bool], patience: float) -> None:
        with suppress(TimeoutError):  # the caller looks what came of it
            async with asyncio.timeout(patience):
                while not condition():
                    self._heard.clear()
                    await self._heard.wait()

    def _require_name(self) -> None:
        if self._taken:
            raise ConfigError(f"there is a living node of the name {self._own.name!r} already: choose another name")

    # Staying

    async def keep_up(self) -> None:
        """Beat, and look twice as often who has fallen silent, until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for turn in count(1):
            due += BEAT_INTERVAL / 2
            await asyncio.sleep(max(due - loop.time(), 0))
            now = loop.time()
            if now - due > _STALLED or not self._port.available:
                self._members.reset_silence(now)
                due = now
            if turn % 2 == 0:
                self.beat_now()
            self._look_after(now)

    def beat_now(self, *, asks: bool = False) -> None:
        """Tell the others of this node at once: something about it changed. With ``asks``, they tell of themselves.

        It does nothing before they know of it: its name may still be another's.
        """
        if self.admitted:
            self._native.announce(self._beat(asks=asks))

    def excuse(self) -> None:
        """Begin to count everybody's silence anew."""
        self._members.reset_silence(asyncio.get_running_loop().time())

    def path_lost(self, path: str) -> None:
        """Don't rely on others listening on a Redis that this node lost, until they say so again."""
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
        )

    def _look_after(self, now: float) -> None:
        doubtful, dead = self._members.check_silence(now)
        for member in doubtful:
            self._native.tell_incarnation(member.beat.incarnation, self._beat(asks=True))
        for member in dead:
            self._members.remove(member.beat.name, member.beat.incarnation)
            self._gone(member, "timeout")

    # MemberInbox

    def beat(self, beat: Beat) -> None:
        """Take a beat."""
        self._heed(beat)
        if beat.incarnation == self._own.incarnation:
            return
        if beat.name == self._own.name:
            self._namesake(beat)
            return
        before = self._members.get(beat.name)
        heard = self._members.receive(beat, asyncio.get_running_loop().time())
        if heard is BeatResult.OUTDATED:
            self._native.tell_incarnation(beat.incarnation, NameTaken(beat.name, beat.incarnation, replaced=True))
            return
        if beat.asks:
            self._native.tell_incarnation(beat.incarnation, self._beat())
        if heard is BeatResult.REPLACED and before is not None:
            self._gone(before, "replaced")
        if heard is BeatResult.KNOWN:
            self._compare(beat)
        else:
            self._owner.joined(self._members_info(beat.name))
        self._changed()

    def goodbye(self, goodbye: Goodbye) -> None:
        """Take a goodbye."""
        self._heed(goodbye)
        member = self._members.leave(goodbye)
        if member is not None:
            self._gone(member, "goodbye")

    def name_taken(self, taken: NameTaken) -> None:
        """Take note that this node's name is another's."""
        if taken.incarnation != self._own.incarnation:
            return
        if self._announced and not taken.replaced:
            return  # it is late: the others have been told that the name is this node's
        if self.admitted:
            self._owner.replaced()
        else:
            self._taken = True
            self._heard.set()

    def _heed(self, message: Beat | Goodbye) -> None:
        if not self._clock.update(message.stamp):  # who sent it is alive all the same
            self._native.refuse_message(f"the clock of {message.name!r} is too far ahead")

    def _namesake(self, beat: Beat) -> None:
        """Another node uses this node's name. The one that has been there keeps it; one that came back from the dead
        after another took its place does not."""
        older = (self._own.since, self._own.incarnation) < (beat.since, beat.incarnation)
        if self.admitted and older and not beat.asks:
            return  # it answered nobody when it should have: the other is the rightful one, and says so
        if older or self.admitted:
            replaced = self.admitted and not older
            self._native.tell_incarnation(beat.incarnation, NameTaken(beat.name, beat.incarnation, replaced))

    def _compare(self, beat: Beat) -> None:
        """Warn, once, of a member that speaks otherwise; only of one that stays, as `crosswire nodes` does not."""
        if self._is_strange(beat) and beat.incarnation not in self._warned:
            self._warned.add(beat.incarnation)
            logger.warning(
                "node %r speaks %r and this one %r, so they lose each other's messages: "
                "give all nodes of a cluster the same compat= in Redis(...)",
                beat.name,
                beat.dialect,
                self._dialect,
            )

    def _is_strange(self, beat: Beat) -> bool:
        return beat.dialect != self._dialect

    def _members_info(self, name: str) -> NodeInfo:
        member = self._members.get(name)
        assert member is not None, "it has just been heard"
        return member.info

    def _gone(self, member: Member, reason: str) -> None:
        self._warned.discard(member.beat.incarnation)
        self._port.forget(bytes.fromhex(member.beat.incarnation))
        self._owner.left(member.info, reason)
        self._changed()

    def _changed(self) -> None:
        self._port.use_paths(self._members.common_paths())
        self.want_msgpack = any(each.beat.msgpack for each in self._members)
        self._heard.set()
