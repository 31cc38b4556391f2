"""The hooks of a node."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from crosswire.core.listeners import AnyHook, Hook
from crosswire.core.return_types import Answer
from crosswire.core.signatures import Arguments
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.handler_calls import fire
from crosswire.runtime.log_records import about, get_logger
from crosswire.runtime.stop_signals import is_broken_off
from crosswire.runtime.throttled_warnings import ThrottledWarnings
from crosswire.types import GapInfo, LinkStatus, NodeInfo, OwnerChange, SubscriptionFailure

HandlerT = TypeVar("HandlerT", bound=Callable[[str, Any], Answer] | Callable[[str], Answer] | Callable[[], Answer])
"""A handler of nodes' events."""

HookQueue = deque[tuple[AnyHook, tuple[object, ...]]]
"""Hooks that will be fired one after the other, with their arguments."""

MAX_QUEUED = 100
"""Calls of ``on_join`` and ``on_leave`` for one node that can wait for a handler."""

logger = get_logger("crosswire.cluster")


class NodeHooks:
    """The hooks of a node, each a :class:`Hook`; ``Node`` has them as its own attributes.

    For each node that joins and leaves, ``on_join`` and ``on_leave`` are called one after the other: a hook is called
    only when the handlers of the hook before have ended or were cancelled.

    Args:
        tasks: where asynchronous handlers run.

    Attributes:
        on_replaced: called when another node has taken over this node's name; not for applications.
        on_newcomer: called when another node has joined; not for applications.
        on_missed: called when messages of other nodes may have been missed; not for applications.
    """

    __slots__ = (
        "_queues",
        "_tasks",
        "_warnings",
        "on_bus_health",
        "on_gap",
        "on_join",
        "on_leave",
        "on_missed",
        "on_newcomer",
        "on_replaced",
        "on_start",
        "on_stop",
        "on_subscription_error",
    )

    def __init__(
        self,
        tasks: BackgroundTasks,
        on_replaced: Callable[[], None],
        on_newcomer: Callable[[str], None],
        on_missed: Callable[[], None],
    ) -> None:
        self._tasks = tasks
        self._warnings = ThrottledWarnings(logger)
        self._queues: dict[str, HookQueue] = {}  # by the name of a node for which a handler runs
        self.on_replaced = on_replaced
        self.on_newcomer = on_newcomer
        self.on_missed = on_missed
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
        """Fire ``on_join`` when the handlers before it have ended."""
        self._fire_in_turn(info.name, self.on_join, info)

    def fire_leave(self, info: NodeInfo, reason: str) -> None:
        """Fire ``on_leave`` when the handlers before it have ended."""
        self._fire_in_turn(info.name, self.on_leave, info, reason)

    def drop(self) -> None:
        """Discard the hooks that wait for their turn, as this node stops."""
        for queue in self._queues.values():
            queue.clear()

    def fire_gap(self, info: GapInfo) -> None:
        """Log that messages might have been missed, and fire ``on_gap``."""
        where = f", over {info.url}" if info.url else f", on channel {info.channel!r}" if info.channel else ""
        text = "messages of other nodes may have been missed within %.1f s%s"
        self._warnings.warn("gap", text, info.until - info.since, where)
        self._fire(self.on_gap, info)

    def fire_bus_health(self, status: LinkStatus) -> None:
        """Fire ``on_bus_health`` with a link that became healthy or unhealthy."""
        self._fire(self.on_bus_health, status)

    def fire_subscription_error(self, failure: SubscriptionFailure) -> None:
        """Fire ``on_subscription_error`` with a channel that can't be subscribed to."""
        self._fire(self.on_subscription_error, failure)

    def fire_owner_change(self, hook: Hook[[OwnerChange]], change: OwnerChange) -> asyncio.Task[None] | None:
        """Fire the hook of a room that has another owner; return the task of its asynchronous handlers, if any."""
        return self._fire(hook, change)

    def _fire_in_turn(self, name: str, hook: AnyHook, *arguments: object) -> None:
        """Fire a hook when the hooks that were fired for the same node have ended."""
        queue = self._queues.get(name)
        if queue is None:
            task = self._fire(hook, *arguments)
            if task is not None and not task.done():
                queue = self._queues[name] = deque()
                self._tasks.start(self._fire_queued(name, task, queue), "crosswire queue of on_join and on_leave")
        elif len(queue) < MAX_QUEUED:
            queue.append((hook, arguments))
        else:  # the node joins and leaves faster than handlers end: leave out the last two hooks
            queue.pop()
            self._warnings.warn("turn", "on_join and on_leave of %r were left out: their handlers are too slow", name)

    async def _fire_queued(self, name: str, task: asyncio.Task[None], queue: HookQueue) -> None:
        try:
            await asyncio.wait({task})
            while queue:
                hook, arguments = queue.popleft()
                fired = self._fire(hook, *arguments)
                if fired is not None:
                    await asyncio.wait({fired})
        finally:
            del self._queues[name]

    def _fire(self, hook: AnyHook, *arguments: object) -> asyncio.Task[None] | None:
        def failed(error: BaseException) -> None:
            if not is_broken_off(error):
                logger.error("%s failed", hook.name, exc_info=error, extra=about(event=hook.name))

        return fire(hook, arguments, self._tasks, failed)
