"""Decides about WebSockets before the upgrade, even where ``authenticate`` is asynchronous."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Any

from msgspec.structs import replace

from crosswire.runtime.background_tasks import BackgroundTasks, is_being_cancelled
from crosswire.server.authentication import Verdict, conclude
from crosswire.server.failures import FailureReporter
from crosswire.server.upgrade import Upgrades
from crosswire.transport.interface import Accepted, HttpRequest, Response


class AsyncUpgrades:
    """The ``AsyncAcceptor`` of a server.

    Args:
        upgrades: decides, but does not wait.
        tasks: where ``authenticate`` runs.
        timeout: seconds that an asynchronous ``authenticate`` has.
        failures: reports hooks that fail.
    """

    __slots__ = ("_failures", "_tasks", "_timeout", "_upgrades")

    def __init__(self, upgrades: Upgrades, tasks: BackgroundTasks, timeout: float, failures: FailureReporter) -> None:
        self._upgrades = upgrades
        self._tasks = tasks
        self._timeout = timeout
        self._failures = failures

    async def decide(
        self, request: HttpRequest, user: str | None = None, *, routed: bool = False, upgraded: bool = False
    ) -> Accepted | Response:
        """Grant the upgrade, or refuse it, once ``authenticate`` has ended."""
        upgrade = self._upgrades.judge(request, user, routed=routed, upgraded=upgraded)
        verdict = upgrade.verdict
        if isinstance(verdict, Verdict) and verdict.pending is not None:
            verdict = await self._conclude(verdict.pending, upgrade.variables)
            upgrade = replace(upgrade, verdict=self._upgrades.refuse_if_full() or verdict)
        return self._upgrades.grant(upgrade)

    def refuse_late(self) -> Response | None:
        """Refuse a WebSocket whose acceptance ends while the server stops, or once it is full; else return None."""
        refusal = self._upgrades.refuse_if_full()
        if refusal is not None:
            self._failures.losses.refused(refusal.status)
            text = "a WebSocket was closed right after its upgrade: %s"
            self._failures.warnings.warn("late refusal", text, refusal.body.decode())
        return refusal

    async def _conclude(self, pending: Callable[[], Any], variables: Context) -> Verdict | Response:
        verdicts: list[Verdict | Response] = []
        task = self._tasks.start(self._ask(pending, variables, verdicts), "crosswire authenticate", "authenticate")
        try:
            await asyncio.wait({task}, timeout=self._timeout)
        finally:
            task.cancel()  # it might not end then, so nobody waits for that
        if verdicts:
            return verdicts[0]
        if task.done():
            return Response(503, b"the server stops", {"Retry-After": "5"})
        text = "authenticate did not end within %g s, so a client was not let in"
        self._failures.warnings.warn("slow authenticate", text, self._timeout)
        return Response(503, b"authentication took too long", {"Retry-After": "5"})

    async def _ask(self, pending: Callable[[], Any], variables: Context, verdicts: list[Verdict | Response]) -> None:
        try:
            verdicts.append(await conclude(pending, variables))
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and is_being_cancelled():
                raise
            self._failures.report(None, error, "authenticate")
            verdicts.append(Response(500, b"authentication failed"))
