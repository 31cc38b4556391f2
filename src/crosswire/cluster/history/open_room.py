"""A room that keeps history and has members on this node."""

from __future__ import annotations

import asyncio

from crosswire.cluster.log.interface import RoomLog
from crosswire.core.targets import ToRoom
from crosswire.core.timeline import Timeline
from crosswire.runtime import environment


class OpenRoom:
    """A room that keeps history and has members here, or is about to have some.

    Attributes:
        room: its name.
        channel: on which its log publishes.
        timeline: its last messages, in order.
        wants: offset after which the log is to be read; None if nothing has to be read.
        reading: whether a task reads the log.
        task: the one that has read it last.
        since: time of the monotonic clock, in seconds, at which nothing was missing.
        had_members: whether it had members when it began to keep history, who have no position.
        settled: where joins wait until the log was read, or can't be; None if they need not wait.
    """

    __slots__ = ("channel", "had_members", "reading", "room", "settled", "since", "task", "timeline", "wants")

    def __init__(self, room: ToRoom, channel: bytes, log: RoomLog, *, had_members: bool) -> None:
        self.room = room
        self.channel = channel
        self.timeline = Timeline(log.size, log.ttl)
        self.wants: int | None = 0
        self.reading = False
        self.task: asyncio.Task[None] | None = None
        self.since = environment.monotonic()
        self.had_members = had_members
        self.settled: asyncio.Future[None] | None = asyncio.get_running_loop().create_future()

    def lose_log(self) -> None:
        """Let joins wait until the log can be reached again, for a while, as nobody knows what it has."""
        self.timeline.lose_log()
        if self.settled is None:
            self.settled = asyncio.get_running_loop().create_future()

    def settle(self) -> None:
        """Let joins wait no more."""
        settled, self.settled = self.settled, None
        if settled is not None and not settled.done():
            settled.set_result(None)
