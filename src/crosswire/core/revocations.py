"""Tokens that were revoked, as every node remembers them."""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

from crosswire.types import Identity

MAX_REVOCATIONS = 10_000
"""Revocations that a node remembers; of more, it forgets those that would end first."""
MAX_LIFETIME = 90 * 24 * 3600.0
"""Seconds for which a revocation is remembered at most."""
MAX_CLOCK_LEAD = 60.0
"""Seconds that the clock of the node that revokes may be ahead."""
MAX_NAME = 1024
"""Characters of a user, and of the id of a token, that can be revoked."""

_Key = tuple[str | None, str | None]


class Revocation(msgspec.Struct, frozen=True, array_like=True):
    """A revocation of tokens: of a user, with an id, or of a user and with an id.

    Attributes:
        user: whose tokens; None for anybody's.
        token_id: their id; None for any.
        at: when it was made, in seconds since 1970. Without a token's id, younger tokens are not revoked.
        until: when it may be forgotten, as no token lives longer.
    """

    user: str | None
    token_id: str | None
    at: float
    until: float

    def covers(self, user: str, token_id: str | None, issued_at: float | None) -> bool:
        """Return whether it revokes a token; one without the time of its issue counts as older."""
        if self.user is not None and self.user != user:
            return False
        if self.token_id is not None:
            return self.token_id == token_id
        return issued_at is None or issued_at <= self.at


class RevocationTable:
    """Revocations that have not ended, at most ``MAX_REVOCATIONS``."""

    __slots__ = ("_ends_first", "_revocations", "forgotten")

    def __init__(self) -> None:
        self._revocations: dict[_Key, Revocation] = {}
        self._ends_first = math.inf
        self.forgotten = 0
        """Number of revocations that were forgotten before their end, as there were too many."""

    def __len__(self) -> int:
        return len(self._revocations)

    def all(self, now: float) -> list[Revocation]:
        """List the revocations that have not ended."""
        self._drop_ended(now)
        return list(self._revocations.values())

    def add(self, revocations: Iterable[Revocation], now: float) -> list[Revocation]:
        """Remember revocations, and return those that say something new."""
        self._drop_ended(now)
        added = []
        for each in revocations:
            if (new := self._merged(each, now)) is not None:
                self._revocations[new.user, new.token_id] = new
                self._ends_first = min(self._ends_first, new.until)
                added.append(new)
        self._drop_beyond_limit()
        return added

    def covers(self, identity: Identity) -> bool:
        """Return whether a token is revoked whose user is about to be let in.

        Without the time of its issue, it can't be told from a newer one: then only a revocation of its id counts.
        """
        user, token_id, issued_at = identity.user, identity.token_id, identity.issued_at
        of_user = None if issued_at is None else self._revocations.get((user, None))
        if of_user is not None and of_user.covers(user, token_id, issued_at):
            return True
        return token_id is not None and ((None, token_id) in self._revocations or (user, token_id) in self._revocations)

    def _merged(self, given: Revocation, now: float) -> Revocation | None:
        """Return a revocation joined with what is remembered already; None if it says nothing new, or nothing."""
        if not 0 < max(len(given.user or ""), len(given.token_id or "")) <= MAX_NAME:
            return None
        at, until = min(given.at, now + MAX_CLOCK_LEAD), min(given.until, now + MAX_LIFETIME)
        if not until > now or math.isnan(at):  # if ``until`` is NaN, it is not larger either
            return None
        known = self._revocations.get((given.user, given.token_id))
        if known is not None:
            at, until = max(known.at, at), max(known.until, until)
            if (at, until) == (known.at, known.until):
                return None
        return Revocation(given.user, given.token_id, at, until)

    def _drop_ended(self, now: float) -> None:
        if now >= self._ends_first:
            self._keep(each for each in self._revocations.values() if each.until > now)

    def _drop_beyond_limit(self) -> None:
        excess = len(self._revocations) - MAX_REVOCATIONS
        if excess > 0:
            self.forgotten += excess
            by_end = sorted(self._revocations.values(), key=lambda each: each.until)
            self._keep(by_end[excess:])

    def _keep(self, revocations: Iterable[Revocation]) -> None:
        self._revocations = {(each.user, each.token_id): each for each in revocations}
        self._ends_first = min((each.until for each in self._revocations.values()), default=math.inf)
