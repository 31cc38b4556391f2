"""Reports of missing messages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from itertools import islice
from math import inf

from crosswire.core.channel_names import text_of
from crosswire.runtime import environment
from crosswire.types import GapInfo

GAP_REPORT_INTERVAL = 0.5
"""Seconds in which messages that are found missing, on any number of channels, are reported as one gap."""


class GapReports:
    """Reports missing messages: the first at once, further ones together after ``interval``, as after an outage.

    Args:
        report: called with each report.
        interval: seconds between two reports, at least.
    """

    def __init__(self, report: Callable[[GapInfo], None], interval: float = GAP_REPORT_INTERVAL) -> None:
        self._report = report
        self._interval = interval
        self._channels: set[bytes] = set()
        self._since = inf
        self._timer: asyncio.TimerHandle | None = None

    def note(self, channels: Collection[bytes], since: float) -> None:
        """Note that messages on channels are missing since ``since``, in seconds of the monotonic clock."""
        self._since = min(self._since, since)
        self._channels.update(islice(channels, 2))  # a gap names a channel only if there is no second one
        if self._timer is None:
            self._send()

    def stop(self) -> None:
        """Stop reporting. Messages that were noted are not reported either."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _send(self) -> None:
        since, channels = self._since, self._channels
        self._since, self._channels, self._timer = inf, set(), None
        if since == inf:
            return
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._send)
        now = environment.wall_time()
        channel = text_of(next(iter(channels))) if len(channels) == 1 else None
        self._report(GapInfo("", now - (environment.monotonic() - since), now, channel))
