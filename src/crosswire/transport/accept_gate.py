"""Accepts connections, and lets them wait in the kernel's queue while there is no room for them."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Awaitable, Callable

from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.log_records import get_logger
from crosswire.runtime.throttled_warnings import ThrottledWarnings
from crosswire.transport.connection_servers import ConnectionServer
from crosswire.transport.descriptor_table import enlarge_descriptor_table

logger = get_logger("crosswire.transport")

BACKLOG = 4096
"""Connections that the kernel queues until they are accepted."""
RESERVED_DESCRIPTORS = 16
"""File descriptors that are kept for the rest of the process, and for what is accepted before a pause begins."""
_ROOM_AFTER_PAUSE = 8
"""File descriptors that are to be left, besides the reserve, when a pause ends."""
RETRY_INTERVAL = 0.1
"""Seconds between two looks whether there is room again, during a pause."""
WATCH_INTERVAL = 0.5
"""Seconds between two looks whether other parts of the process have taken all file descriptors."""

StartServer = Callable[[socket.socket], Awaitable[ConnectionServer]]
"""Function that makes a server, which accepts connections on a socket at once."""


class AcceptGate:
    """The servers on the sockets of a listener.

    Without a free file descriptor uvloop drops each connection that it accepts, and asyncio's own loop fills the log.
    So accepting pauses before: the servers are closed, and the sockets stay open, as duplicates, in which connections
    wait. They are accepted once there is room.

    Args:
        start_server: makes a server for a duplicate of a socket, now and when a pause ends.
        has_room: returns whether the listener has room for another connection.
        tasks: where the end of a pause runs.
    """

    __slots__ = (
        "_bound",
        "_has_room",
        "_is_serving",
        "_reserve",
        "_servers",
        "_sockets",
        "_start_server",
        "_tasks",
        "_timer",
        "_warnings",
    )

    def __init__(self, start_server: StartServer, has_room: Callable[[], bool], tasks: BackgroundTasks) -> None:
        self._start_server = start_server
        self._has_room = has_room
        self._tasks = tasks
        self._bound: asyncio.Server | None = None  # in the beginning
        self._servers: list[ConnectionServer] = []
        self._sockets: list[socket.socket] = []
        self._reserve: list[int] = []
        self._is_serving = False
        self._timer: asyncio.TimerHandle | None = None
        self._warnings = ThrottledWarnings(logger)

    @property
    def is_paused(self) -> bool:
        """Whether connections wait in the kernel's queue."""
        return self._is_serving and not self._servers

    async def serve(self, bound: asyncio.Server) -> None:
        """Accept connections from now on, on the sockets of a server that accepts none itself."""
        self._bound = bound
        enlarge_descriptor_table(bound.sockets[0].fileno())
        self._sockets = [socket.socket(fileno=os.dup(each.fileno())) for each in bound.sockets]
        self._is_serving = True
        await self._start_servers()
        self._fill_reserve()
        self._look_later(WATCH_INTERVAL)

    def check(self) -> None:
        """Pause if the connection that is being accepted has taken the last file descriptors."""
        if not self._is_descriptor_left():
            self._pause_for_descriptors()

    def accept_failed(self, error: OSError) -> None:
        """Pause, as nothing can be accepted: each try would fail as the last."""
        self.check()
        if self._servers:  # so it is not for want of a descriptor
            self._warnings.warn("accept", "connections wait, as none can be accepted: %s", error)
            self.pause()

    def pause(self) -> None:
        """Let connections wait until ``has_room`` says that there is room."""
        if self._is_serving and self._servers:
            servers, self._servers = self._servers, []
            for server in servers:
                server.close_soon()
            self._look_later(RETRY_INTERVAL)

    def close(self) -> None:
        """Accept no more connections; those that wait are dropped."""
        self._is_serving = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for server in self._servers:
            server.close()
        if self._bound is not None:
            self._bound.close()
            self._bound = None
        for each in self._sockets:
            each.close()
        self._servers, self._sockets = [], []
        self._release_reserve()

    def _pause_for_descriptors(self) -> None:
        self._release_reserve()
        if self._servers:
            text = "no file descriptor is left, so connections wait until there is one: raise the limit (ulimit -n)"
            self._warnings.warn("descriptors", text)
            self.pause()

    def _look_later(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._servers:
            if not self._is_descriptor_left():
                self._pause_for_descriptors()
            else:
                self._look_later(WATCH_INTERVAL)
        elif self._has_room() and self._fill_reserve():
            self._tasks.start(self._resume(), "crosswire accept again")
        else:
            self._look_later(RETRY_INTERVAL)

    async def _resume(self) -> None:
        try:
            await self._start_servers()
        except OSError as error:
            self._warnings.warn("resume", "connections still wait, as a socket can't be used: %s", error)
            self._look_later(RETRY_INTERVAL)
            return
        if self._is_serving:  # it was not stopped meanwhile
            self._look_later(WATCH_INTERVAL)

    async def _start_servers(self) -> None:
        servers: list[ConnectionServer] = []
        try:
            for each in self._sockets:
                servers.append(await self._start_server(each.dup()))  # noqa: PERF401 - an error leaves the first
        except BaseException:
            for server in servers:
                server.close()
            raise
        if not self._is_serving:
            for server in servers:
                server.close()
            return
        self._servers = servers
        for each in self._sockets:
            each.listen(BACKLOG)

    def _fill_reserve(self) -> bool:
        """Take file descriptors into the reserve; return False, and take none, if not as many are left."""
        try:
            while len(self._reserve) < RESERVED_DESCRIPTORS + len(self._sockets) + _ROOM_AFTER_PAUSE:
                self._reserve.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            self._release_reserve()
            return False
        while len(self._reserve) > RESERVED_DESCRIPTORS:
            os.close(self._reserve.pop())
        return True

    def _release_reserve(self) -> None:
        for each in self._reserve:
            os.close(each)
        self._reserve = []

    def _is_descriptor_left(self) -> bool:
        """Return whether there are file descriptors for the connections that the event loop accepts next."""
        taken: list[int] = []
        try:
            for _ in range(max((each.accepted_at_once for each in self._servers), default=1)):
                taken.append(os.dup(self._sockets[0].fileno()))  # noqa: PERF401 - an error leaves the first
        except OSError as error:
            return error.errno not in (errno.EMFILE, errno.ENFILE)
        finally:
            for each in taken:
                os.close(each)
        return True
