"""The owners of rooms, and handlers that are told when a room gets another owner."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from crosswire.cluster.hooks import NodeHooks
from crosswire.cluster.members import Members
from crosswire.core.listeners import Hook
from crosswire.core.names import require_name
from crosswire.core.ownership import owner_among
from crosswire.core.signatures import Arguments
from crosswire.errors import NoOwner
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.types import OwnerChange

OwnerHandler = Callable[[OwnerChange], Any] | Callable[[], Any]
"""A handler of changes of an owner, sync or async."""
RoomKey = tuple[str, str]

CHECKED_AT_ONCE = 500
"""Watched rooms whose owners are found within one turn of the event loop."""


class _Watch:
    """State of a room that is watched.

    Attributes:
        owner: the owner that the handlers know of.
        hook: has the handlers.
        busy: whether an asynchronous handler is at work.
    """

    __slots__ = ("busy", "hook", "owner")

    def __init__(self, owner: str | None) -> None:
        self.owner = owner
        self.hook: Hook[[OwnerChange]] = Hook("watch_owner", Arguments(change=OwnerChange))
        self.busy = False


class Owners:
    """Chooses the owners of rooms among the living members, and tells handlers of changes.

    Args:
        members: the living nodes.
        hooks: fires the handlers.
        tasks: where the check of many rooms runs.
    """

    def __init__(self, members: Members, hooks: NodeHooks, tasks: BackgroundTasks) -> None:
        self._members = members
        self._hooks = hooks
        self._tasks = tasks
        self._watches: dict[RoomKey, _Watch] = {}
        self._checking = self._outdated = False

    def owner(self, namespace: str, id: str) -> str:
        """Return the name of the node that owns a room; see ``Node.owner``."""
        owner = self._owner(_key(namespace, id))
        if owner is None:
            raise NoOwner(namespace)
        return owner

    def watch(self, namespace: str, id: str, handler: OwnerHandler) -> None:
        """Call a handler when a room gets another owner; see ``Node.watch_owner``."""
        key = _key(namespace, id)
        watch = self._watches.get(key) or _Watch(self._owner(key))
        watch.hook(handler)
        self._watches[key] = watch

    def unwatch(self, namespace: str, id: str, handler: OwnerHandler | None) -> None:
        """Remove a handler of a room, or all handlers."""
        key = _key(namespace, id)
        if (watch := self._watches.get(key)) is not None:
            watch.hook.off(handler)
            if not watch.hook:
                del self._watches[key]

    def unwatch_all(self) -> None:
        """Remove the handlers of all rooms, as this node leaves."""
        self._watches.clear()

    def members_changed(self) -> None:
        """Begin to look for watched rooms that have another owner."""
        self._outdated = True
        if self._watches and not self._checking:
            self._checking = True
            self._tasks.start(self._check_all(), "crosswire owners")

    async def _check_all(self) -> None:
        try:
            while self._outdated:
                await asyncio.sleep(0)  # a node that another run replaces leaves and joins within one turn
                self._outdated = False
                for number, (key, watch) in enumerate(list(self._watches.items()), 1):
                    if number % CHECKED_AT_ONCE == 0:
                        await asyncio.sleep(0)
                    self._check(key, watch)
        finally:
            self._checking = False

    def _check(self, key: RoomKey, watch: _Watch) -> None:
        """Tell the handlers of a room if it has another owner than they know."""
        if watch.busy or self._watches.get(key) is not watch:
            return
        owner = self._owner(key)
        if owner == watch.owner:
            return
        change = OwnerChange(*key, owner, watch.owner)
        watch.owner = owner
        task = self._hooks.fire_owner_change(watch.hook, change)
        if task is not None and not task.done():
            watch.busy = True
            task.add_done_callback(partial(self._told, key, watch))

    def _told(self, key: RoomKey, watch: _Watch, _task: asyncio.Task[None]) -> None:
        watch.busy = False
        self._check(key, watch)

    def _owner(self, key: RoomKey) -> str | None:
        namespace, id_ = key
        return owner_among(self._members.may_own(namespace), namespace, id_)


def _key(namespace: str, id: str) -> RoomKey:
    return require_name(namespace, "a room's namespace"), require_name(id, "a room's id")
