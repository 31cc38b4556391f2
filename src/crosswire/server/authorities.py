"""The identities of open connections: they expire, are renewed, and are revoked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextvars import Context
from functools import partial

from crosswire.core.expiries import SLOT, ExpirySlots
from crosswire.core.messages import RENEW
from crosswire.core.payload_types import payload_type
from crosswire.core.revocations import Revocation, RevocationTable
from crosswire.errors import CallTimeout, EventError, NotConnected, Reject
from crosswire.runtime import environment
from crosswire.runtime.background_tasks import BackgroundTasks, is_being_cancelled
from crosswire.runtime.log_records import get_logger
from crosswire.runtime.timer_wheel import Timer, TimerWheel
from crosswire.server.authentication import Authentication, Verdict, conclude
from crosswire.server.authority import Authority, IdentifiedClient
from crosswire.server.client_calls import ClientCalling
from crosswire.server.failures import FailureReporter
from crosswire.server.handshake import Handshake, Parameter
from crosswire.types import CloseCode, Identity

RENEWAL_LEAD = 20.0
"""Seconds before the end of a token at which its client is asked for a new one at the earliest."""
LEAD_SHARE = 0.5
"""Part of the time that a token has left in which its client is asked at the earliest, if that is shorter."""

_EXPIRED = "the token has expired"
_REVOKED = "the token was revoked"
_PARAMETERS = payload_type(dict[str, Parameter])

logger = get_logger("crosswire.authority")


class Authorities:
    """The identities of all connections of a server that have more than a user.

    A client that can renew is asked for a new token before its own expires; the connection is closed with 4014 when the
    token has expired. The clock of real time is read again ten times a second, so that its jumps do no harm.

    Args:
        authentication: verifies new tokens.
        tasks: where clients are asked.
        wheel: for the timer.
        failures: reports hooks that fail.
        now: returns the seconds since 1970.
        draw: returns a random number from 0 to 1.

    Attributes:
        calls: calls clients; replaced by what measures or traces them.
        revocations: the node's; none before it is attached.
    """

    __slots__ = (
        "_authentication",
        "_draw",
        "_due",
        "_failures",
        "_held",
        "_now",
        "_tasks",
        "_timer",
        "_wheel",
        "calls",
        "revocations",
    )

    def __init__(
        self,
        authentication: Authentication,
        calls: ClientCalling,
        tasks: BackgroundTasks,
        wheel: TimerWheel,
        failures: FailureReporter,
        now: Callable[[], float] = lambda: environment.wall_time(),
        draw: Callable[[], float] = lambda: environment.random(),
    ) -> None:
        self._authentication = authentication
        self.calls = calls
        self._tasks = tasks
        self._wheel = wheel
        self._failures = failures
        self._now = now
        self._draw = draw
        self.revocations = RevocationTable()
        self._held: dict[Authority, None] = {}
        self._due: ExpirySlots[Authority] = ExpirySlots()
        self._timer: Timer | None = None

    def __len__(self) -> int:
        return len(self._held)

    def refusal(self, identity: Identity) -> Reject | None:
        """Return the refusal of an identity that was revoked, or has expired; else None."""
        if self.revocations.covers(identity):
            return Reject(CloseCode.AUTH_FAILED, _REVOKED)
        if identity.expires is not None and identity.expires <= self._now():
            return Reject(CloseCode.AUTH_FAILED, _EXPIRED)
        return None

    def hold(
        self, client: IdentifiedClient, handshake: Handshake, context: Callable[[], Context], identity: Identity
    ) -> Authority:
        """Keep the identity of a connection that is let in, until :meth:`Authority.end`."""
        authority = Authority(self.discard, client, handshake, context, identity)
        self._held[authority] = None
        self._schedule(authority, ask=handshake.can_renew)
        return authority

    def discard(self, authority: Authority) -> None:
        """Forget a connection; see :meth:`Authority.end`."""
        self._held.pop(authority, None)
        self._due.discard(authority)

    def close_revoked(self, revocations: Iterable[Revocation]) -> int:
        """Close the connections whose tokens are revoked; return their number."""
        by_user: dict[str | None, list[Revocation]] = {}
        by_token: dict[str | None, list[Revocation]] = {}
        for each in revocations:
            if each.token_id is None:
                by_user.setdefault(each.user, []).append(each)
            else:
                by_token.setdefault(each.token_id, []).append(each)
        closed = 0
        for authority in list(self._held):
            identity = authority.identity
            candidates = by_user.get(identity.user, [])
            if identity.token_id is not None:
                candidates = candidates + by_token.get(identity.token_id, [])
            if any(each.covers(identity.user, identity.token_id, identity.issued_at) for each in candidates):
                authority.client.close(CloseCode.FORCED_LOGOUT, _REVOKED)
                closed += 1
        return closed

    # Expiry

    def _schedule(self, authority: Authority, *, ask: bool) -> None:
        """Handle a connection when its token expires, or some time before that, to ask the client."""
        expires = authority.identity.expires
        if expires is None:
            self._due.discard(authority)
            return
        was_empty = not self._due
        lead = 0.0
        if ask:
            left = max(0.0, expires - self._now())
            lead = min(RENEWAL_LEAD, LEAD_SHARE * left) * (3 + self._draw()) / 4
        self._due.add(authority, expires - lead)
        if was_empty:
            self._start_timer()

    def _start_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._wheel.start(SLOT, self._check)

    def _check(self) -> None:
        for authority in self._due.take_due(self._now()):
            self._handle_due(authority)
        if self._due:
            self._start_timer()

    def _handle_due(self, authority: Authority) -> None:
        expires = authority.identity.expires
        assert expires is not None, "it was scheduled"
        if expires <= self._now():
            authority.client.close(CloseCode.TOKEN_EXPIRED, _EXPIRED)
            return
        self._schedule(authority, ask=False)
        self._tasks.start(self._renew(authority, expires - self._now()), "crosswire renewal", "authenticate")

    # Renewal

    async def _renew(self, authority: Authority, timeout: float) -> None:
        """Ask a client for a new token, and verify it. If there is none in time, the old one expires."""
        client = authority.client
        try:
            parameters = await self.calls.call(client, RENEW, None, max(timeout, SLOT), _PARAMETERS)
        except (CallTimeout, NotConnected, EventError) as error:
            logger.debug("%r sent no new token: %s", client, type(error).__name__)
            return
        if not client.is_open:
            return
        verdict = await self._verify(authority, parameters)
        if verdict is not None and client.is_open:
            self._conclude(authority, verdict)

    async def _verify(self, authority: Authority, parameters: dict[str, Parameter]) -> Verdict | None:
        """Return the verdict of the hook on the parameters that a client sent; None if the hook failed."""
        variables = authority.context()
        try:
            handshake = authority.handshake.renewed(parameters)
            verdict = variables.run(partial(self._authentication.judge, handshake))
            return verdict if verdict.pending is None else await conclude(verdict.pending, variables)
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and is_being_cancelled():
                raise
            self._failures.report(None, error, "authenticate", event="authenticate")
            return None

    def _conclude(self, authority: Authority, verdict: Verdict) -> None:
        """Let a connection live on with its new token, or close it."""
        client, before = authority.client, authority.identity
        if verdict.reject is not None and verdict.reject.close_code != CloseCode.AUTH_FAILED:
            client.close(verdict.reject.close_code, verdict.reject.reason)
        elif verdict.reject is not None or verdict.user is None:
            # The same token would be refused at the next connection for good; but a client may have a better one then.
            client.close(CloseCode.TOKEN_EXPIRED, "the new token was refused")
        elif verdict.user != before.user:
            client.close(CloseCode.TOKEN_EXPIRED, "the new token is another user's")
        else:
            identity = verdict.identity or Identity(verdict.user)
            if self.revocations.covers(identity):
                client.close(CloseCode.FORCED_LOGOUT, _REVOKED)
                return
            authority.identity = identity
            self._schedule(authority, ask=_lasts_longer(identity, before))


def _lasts_longer(identity: Identity, before: Identity) -> bool:
    """Return whether it is of use to ask once more: a client that sent the same token has no newer one yet."""
    return before.expires is not None and identity.expires is not None and identity.expires > before.expires
