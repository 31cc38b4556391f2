"""Joining of this node: it makes sure of its name, and gets to know the members."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from math import inf

from crosswire.cluster.native import NativeDialect
from crosswire.cluster.ordered_port import OrderedPort
from crosswire.cluster.own_name import OwnName
from crosswire.cluster.running_checks import RunningChecks
from crosswire.core.envelopes import Beat
from crosswire.core.membership import BEAT_INTERVAL, DEAD_AFTER, Membership
from crosswire.errors import ConfigError
from crosswire.types import NodeInfo

HOLDER_TIMEOUT = 1.0
"""Seconds that a node which wants a name waits for an answer of the node that has it."""
WELCOME_TIMEOUT = 0.5
"""Seconds that a node which joins waits for the members' beats."""


class Joining:
    """Claims this node's name, introduces the node to the members, and waits for these.

    Args:
        own: name, incarnation and start of this node.
        native: asks the node that has the name.
        port: counts listeners.
        name: what is known of this node's name.
        members: the other living members.
        checks: checks of nodes that run in the background, among them whether the name is taken.
        changes: set whenever a member came or went, or a check has ended.
        beat: returns a beat of this node that asks for those of others.
        announce: sends such a beat to all nodes.
        holder_timeout: seconds to wait for an answer of the node that has this node's name.
        welcome_timeout: seconds to wait for the members' beats.
    """

    __slots__ = (
        "_announce",
        "_beat",
        "_changes",
        "_checks",
        "_holder_timeout",
        "_members",
        "_name",
        "_native",
        "_own",
        "_port",
        "_welcome_timeout",
    )

    def __init__(
        self,
        own: NodeInfo,
        native: NativeDialect,
        port: OrderedPort,
        name: OwnName,
        members: Membership,
        checks: RunningChecks,
        changes: asyncio.Event,
        *,
        beat: Callable[[], Beat],
        announce: Callable[[], None],
        holder_timeout: float = HOLDER_TIMEOUT,
        welcome_timeout: float = WELCOME_TIMEOUT,
    ) -> None:
        self._own = own
        self._native = native
        self._port = port
        self._name = name
        self._members = members
        self._checks = checks
        self._changes = changes
        self._beat = beat
        self._announce = announce
        self._holder_timeout = holder_timeout
        self._welcome_timeout = welcome_timeout

    async def claim_name(self) -> None:
        """Check that no living node has this node's name.

        Raises:
            ConfigError: a living node has it.
        """
        self._name.announced = False
        if not await self._name.may_be_held():
            return
        self._native.send_to_name(self._own.name, self._beat())
        await self._wait(lambda: self._name.taken, self._holder_timeout)
        await self._require_name()

    async def introduce(self) -> None:
        """Send the first beat, and wait a little for the beats of the other nodes.

        Raises:
            ConfigError: a node that has started at the same time has the same name.
        """
        listeners = await self._count_listeners()
        expected = inf if listeners is None else listeners - 1
        await self._require_name()  # if this node stood still, NameTaken may have come only after the timeout
        self._name.announced = True
        self._announce()
        await self._wait(lambda: self._name.taken or len(self._members) >= expected, self._welcome_timeout)
        await self._require_name()
        self._name.admitted = True

    async def wait_for_all(self) -> None:
        """Wait until all members are known, also members that were too slow for :meth:`introduce`.

        It takes no longer than the silence after which a member counts as dead.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + DEAD_AFTER
        while (remaining := deadline - loop.time()) > 0:
            known = len(self._members)
            listeners = await self._count_listeners()
            if listeners is not None and known >= listeners - 1:
                return
            await self._wait(partial(self._knows_more_than, known), min(remaining, BEAT_INTERVAL))

    async def _count_listeners(self) -> int | None:
        """Return how many nodes listen to beats, this one included; None if they can't be counted."""
        return await self._port.count_listeners(self._native.own_channels.all_nodes)

    def _knows_more_than(self, known: int) -> bool:
        return len(self._members) > known

    async def _wait(self, condition: Callable[[], bool], timeout: float) -> None:
        with suppress(TimeoutError):  # the caller checks the outcome
            async with asyncio.timeout(timeout):
                while not condition():
                    self._changes.clear()
                    await self._changes.wait()

    async def _require_name(self) -> None:
        if self._own.incarnation in self._checks:  # there is a message that the name is taken
            await self._wait(lambda: self._own.incarnation not in self._checks, 2 * self._holder_timeout)
        if self._name.taken:
            raise ConfigError(f"there is a living node of the name {self._own.name!r} already: choose another name")
