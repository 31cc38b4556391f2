"""All connections of a server, those not let in yet too."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from crosswire.server.departure import Departure

if TYPE_CHECKING:
    from crosswire.server.session import Session


class Sessions:
    """The sessions from their opening until they are gone.

    Attributes:
        departing: those of them that are gone and have handlers at work, or messages that are yet to be handled.
    """

    __slots__ = ("_all", "_gone", "departing")

    def __init__(self) -> None:
        self._all: set[Session] = set()
        self._gone: asyncio.Event | None = None
        self.departing: set[Departure] = set()

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Session]:
        return iter(self._all)

    def add(self, session: Session) -> None:
        """Note a session that opened."""
        self._all.add(session)

    def discard(self, session: Session) -> None:
        """Forget a session that is gone."""
        self._all.discard(session)
        if self._gone is not None and not self._all:
            self._gone.set()

    async def wait_gone(self, timeout: float) -> None:
        """Wait until there is none, at most ``timeout`` seconds."""
        if not self._all:
            return
        self._gone = asyncio.Event()
        with suppress(TimeoutError):  # the caller looks who is left
            async with asyncio.timeout(timeout):  # wait_for would miss that it is cancelled as the last one goes
                await self._gone.wait()
