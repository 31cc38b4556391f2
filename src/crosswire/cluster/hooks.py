"""The life events of a node that an application can attach to."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from crosswire.core.listeners import AnyHook, Hook
from crosswire.core.returns import Answer
from crosswire.core.signatures import Arguments
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.dispatch import fire
from crosswire.runtime.stop_signals import InterruptedBySignal
from crosswire.runtime.throttled_warnings import ThrottledWarnings
from crosswire.types import GapInfo, LinkStatus, NodeInfo, SubscriptionFailure

HandlerT = TypeVar("HandlerT", bound=Callable[[str, Any], Answer] | Callable[[str], Answer] | Callable[[], Answer])
"""A handler of nodes' events."""

Waiting = deque[tuple[AnyHook, tuple[object, ...]]]
"""Hooks to be fired one after the other, with their arguments."""

_MOST_WAITING = 100
"""Comings and goings of one node that wait for a handler."""

logger = logging.getLogger("crosswire.cluster")


class NodeHooks:
    """One :class:`Hook` for each life event; ``Node`` shows them as its own attributes.

    What ``on_join`` and ``on_leave`` are told of one node alternates, whatever their handlers await: each is called
    when the former has ended, or was cancelled.

    Args:
        tasks: where asynchronous handlers are run.

    Attributes:
        on_replaced: what the node itself does when another has taken its name.
        on_newcomer: what the node itself does when another is there.
    """

    __slots__ = (
        "_tasks",
        "_waiting",
        "_warnings",
        "on_bus_health",
        "on_gap",
        "on_join",
        "on_leave",
        "on_newcomer",
        "on_replaced",
        "on_start",
        "on_stop",
        "on_subscription_error",
    )

    def __init__(
        self, tasks: BackgroundTasks, on_replaced: Callable[[], None], on_newcomer: Callable[[str], None]
    ) -> None:
        self._tasks = tasks
        self._warnings = ThrottledWarnings(logger)
        self._waiting: dict[str, Waiting] = {}  # by the name of a node for which a handler is at work
        self.on_replaced = on_replaced
        self.on_newcomer = on_newcomer
        self.on_join: Hook[[NodeInfo]] = Hook("on_join", Arguments(info=NodeInfo))
        self.on_leave: Hook[[NodeInfo, str], [NodeInfo]] = Hook("on_leave", Arguments(info=NodeInfo, reason=str))
        self.on_gap: Hook[[GapInfo]] = Hook("on_gap", Arguments(info=GapInfo))
        self.on_bus_health: Hook[[LinkStatus]] = Hook("on_bus_health", Arguments(status=LinkStatus))
        self.on_subscription_error: Hook[[SubscriptionFailure]] = Hook(
            "on_subscription_error", Arguments(failure=SubscriptionFailure)
        )
        self.on_start: Hook[[]] = Hook("on_start")
        self.on_stop: Hook[[]] = Hook("on_stop")

    def fire_join(self, info: NodeInfo) -> None:
        """A node is there."""
        self._fire_in_turn(info.name, self.on_join, info)

    def fire_leave(self, info: NodeInfo, reason: str) -> None:
        """A node is gone."""
        self._fire_in_turn(info.name, self.on_leave, info, reason)

    def drop(self) -> None:
        """Forget what waits for its turn: this node stops."""
        for waiting in self._waiting.values():
            waiting.clear()

    def fire_gap(self, info: GapInfo) -> None:
        """Messages may have been missed."""
        where = f", over {info.url}" if info.url else f", on channel {info.channel!r}" if info.channel else ""
        text = "messages of other nodes may have been missed within %.1f s%s"
        self._warnings.warn("gap", text, info.until - info.since, where)
        self._fire(self.on_gap, info)

    def fire_bus_health(self, status: LinkStatus) -> None:
        """Take note that a link became healthy, or is no longer."""
        self._fire(self.on_bus_health, status)

    def fire_subscription_error(self, failure: SubscriptionFailure) -> None:
        """Take note that a link refuses a subscription."""
        self._fire(self.on_subscription_error, failure)

    def _fire_in_turn(self, name: str, hook: AnyHook, *arguments: object) -> None:
        """Fire a hook when those that were fired for the same node have ended: what awaits is not overtaken."""
        waiting = self._waiting.get(name)
        if waiting is None:
            task = self._fire(hook, *arguments)
            if task is not None and not task.done():
                waiting = self._waiting[name] = deque()
                self._tasks.start(self._go_on(name, task, waiting), "crosswire turns of on_join and on_leave")
        elif len(waiting) < _MOST_WAITING:
            waiting.append((hook, arguments))
        else:  # it comes and goes faster than handlers end: of its last coming and going neither is told
            waiting.pop()
            self._warnings.warn("turn", "on_join and on_leave of %r were left out: their handlers are too slow", name)

    async def _go_on(self, name: str, task: asyncio.Task[None], waiting: Waiting) -> None:
        try:
            await asyncio.wait({task})
            while waiting:
                hook, arguments = waiting.popleft()
                fired = self._fire(hook, *arguments)
                if fired is not None:
                    await asyncio.wait({fired})
        finally:
            del self._waiting[name]

    def _fire(self, hook: AnyHook, *arguments: object) -> asyncio.Task[None] | None:
        def failed(error: BaseException) -> None:
            if not isinstance(error, InterruptedBySignal):
                logger.error("%s failed", hook.name, exc_info=error)

        return fire(hook, arguments, self._tasks, failed)
