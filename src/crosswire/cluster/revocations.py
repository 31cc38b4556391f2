"""Revocation of tokens and users on all nodes, also on those that could not be reached at the time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from crosswire.cluster.clients import Clients
from crosswire.cluster.connection import ClusterConnection
from crosswire.cluster.dispatcher import SERVICE_TIMEOUT
from crosswire.cluster.lists import fitting
from crosswire.core.listeners import EventListeners
from crosswire.core.revocations import MAX_REVOCATIONS, Revocation, RevocationTable
from crosswire.runtime import environment
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.log_records import get_logger
from crosswire.runtime.throttled_warnings import ThrottledWarnings
from crosswire.types import Replies

logger = get_logger("crosswire.cluster")

TOKEN_LIFETIME = 3600.0
"""Seconds for which revocations are remembered, unless the application says how long its tokens live."""
EXCHANGES = 5
"""Times in a row that nodes without an answer are asked for what may have been missed."""
EXCHANGE_INTERVAL = 0.5
"""Seconds between two of them."""


class Revocations:
    """The revocations that one node knows, and their exchange with the other nodes.

    Args:
        clients: the clients of this node, whose connections are closed.
        connection: returns the node's connection to the cluster; raises if there is none.
        tasks: where nodes are asked for what was missed.
        now: returns the seconds since 1970.

    Attributes:
        table: the revocations.
    """

    __slots__ = ("_asked", "_clients", "_connection", "_exchanging", "_now", "_tasks", "_warnings", "table")

    def __init__(
        self,
        clients: Clients,
        connection: Callable[[], ClusterConnection],
        tasks: BackgroundTasks,
        now: Callable[[], float] = lambda: environment.wall_time(),
    ) -> None:
        self._clients = clients
        self._connection = connection
        self._tasks = tasks
        self._now = now
        self._warnings = ThrottledWarnings(logger)
        self._asked: dict[str, None] | None = {}  # the nodes that are to be asked; None for all
        self._exchanging = False
        self.table = RevocationTable()

    async def revoke(self, user: str | None, token_id: str | None, lifetime: float) -> Replies:
        """Revoke tokens everywhere; see ``Node.revoke``."""
        cluster = self._connection()
        now = self._now()
        revocation = Revocation(user, token_id, now, now + lifetime)
        closed = self._apply([revocation], late=False)
        own = {cluster.name: closed} if self._clients.serves else {}
        if cluster.alone:
            return Replies(own)
        others = await cluster.requester.gather_service("revoke", revocation, SERVICE_TIMEOUT, servers=False)
        # A node that is no server remembers the revocation, and has nothing to close.
        theirs = {name: closed for name, closed in others.items() if closed is not None}
        return Replies({**own, **theirs}, errors=others.errors, missing=others.missing)

    def exchange_with(self, name: str | None) -> None:
        """Exchange revocations with a node that has joined; with all if ``name`` is None, as some may be missing."""
        self._note(None if name is None else (name,))
        if not self._exchanging:
            self._exchanging = True
            self._tasks.start(self._exchange(), "crosswire revocations")

    def offer(self, services: EventListeners) -> None:
        """Register the services with which other nodes revoke tokens here, and exchange what they know."""

        def revoke(_sender: str, revocation: Revocation) -> int | None:
            closed = self._apply([revocation], late=False)
            return closed if self._clients.serves else None

        def revocations(_sender: str, known: list[Revocation]) -> list[Revocation]:
            self._apply(known, late=True)
            return self.table.all(self._now())

        services.on("revoke", revoke)
        services.on("revocations", revocations)

    def _apply(self, revocations: list[Revocation], *, late: bool) -> int:
        forgotten = self.table.forgotten
        new = self.table.add(revocations, self._now())
        if self.table.forgotten > forgotten:
            text = "there are more than %d revocations: those that would end first are forgotten before their end"
            self._warnings.warn("revocations", text, MAX_REVOCATIONS)
        return self._clients.revoke(new, late=late) if new else 0

    def _note(self, names: Collection[str] | None) -> None:
        """Let some nodes be asked next, or all."""
        if names is None:
            self._asked = None
        elif self._asked is not None:
            self._asked.update(dict.fromkeys(names))

    async def _exchange(self) -> None:
        incomplete = 0
        try:
            while self._asked is None or self._asked:
                await asyncio.sleep(0)  # nodes that are noticed in the same turn are asked together
                nodes, self._asked = self._asked, {}
                missing = await self._ask(nodes)
                incomplete = incomplete + 1 if missing else 0
                if incomplete < EXCHANGES:
                    self._note(missing)
                await asyncio.sleep(EXCHANGE_INTERVAL)
        finally:
            self._exchanging = False

    async def _ask(self, nodes: Collection[str] | None) -> tuple[str, ...]:
        """Exchange revocations with some nodes, or with all; return those that did not answer."""
        requester, known = self._connection().requester, self.table.all(self._now())
        answers = await requester.gather_service("revocations", known, SERVICE_TIMEOUT, servers=False, to=nodes)
        for theirs in fitting(answers, list[Revocation]).values():
            self._apply(theirs, late=True)
        return answers.missing
