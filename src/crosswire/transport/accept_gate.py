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

logger = get_logger("crosswire.transport")

BACKLOG = 4096
"""Connections that the kernel queues until they are accepted."""
ACCEPTED_AT_ONCE = 4
"""Connections that asyncio's own loop accepts in one turn: it takes the length of the queue for that number."""
RESERVED_DESCRIPTORS = 16
"""File descriptors that are kept for the rest of the process, and for what is accepted before a pause begins."""
_ROOM_AFTER_PAUSE = 8
"""File descriptors that are to be left, besides the reserve, when a pause ends."""
RETRY_INTERVAL = 0.1
"""Seconds between two looks whether there is room again, during a pause."""
WATCH_INTERVAL = 0.5
"""Seconds between two looks whether other parts of the process have taken all file descriptors."""

StartServer = Callable[[socket.socket], Awaitable[asyncio.Server]]
"""Function that makes a server of the event loop, which accepts connections on a socket at once."""


class AcceptGate:
    """The servers of the event loop on the sockets of a listener.

    Without a free file descriptor uvloop drops each connection that it accepts, and asyncio's own loop fills the log.
    So accepting pauses before: the servers are closed, and the sockets stay open, as duplicates, in which connections
    wait. They are accepted once there is room.

    Args:
        start_server: makes a server for a socket when a pause ends.
        has_room: returns whether the listener has room for another connection.
        tasks: where the end of a pause runs.
    """

    __slots__ = (
        "_accepted_at_once",
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
        self._servers: list[asyncio.Server] = []
        self._sockets: list[socket.socket] = []
        self._reserve: list[int] = []
        self._is_serving = False
        self._accepted_at_once = ACCEPTED_AT_ONCE
        self._timer: asyncio.TimerHandle | None = None
        self._warnings = ThrottledWarnings(logger)

    @property
    def is_paused(self) -> bool:
        """Whether connections wait in the kernel's queue."""
        return self._is_serving and not self._servers

    async def serve(self, server: asyncio.Server) -> None:
        """Accept connections from now on, on the sockets of a server that does not accept yet."""
        self._servers = [server]
        self._sockets = [socket.socket(fileno=os.dup(each.fileno())) for each in server.sockets]
        self._is_serving = True
        if not isinstance(asyncio.get_running_loop(), asyncio.SelectorEventLoop):
            self._accepted_at_once = 1  # uvloop's
        await server.start_serving()
        for each in self._sockets:
            each.listen(BACKLOG)
        self._fill_reserve()
        self._look_later(WATCH_INTERVAL)

    def check(self) -> None:
        """Pause if the connection that is being accepted has taken the last file descriptors."""
        if not self._is_descriptor_left():
            self._pause_for_descriptors()

    def pause(self) -> None:
        """Let connections wait until ``has_room`` says that there is room."""
        if self._is_serving and self._servers:
            servers, self._servers = self._servers, []
            loop = asyncio.get_running_loop()
            for server in servers:
                if isinstance(loop, asyncio.SelectorEventLoop):  # else it accepts some that the server can't take then
                    for each in server.sockets:
                        loop.remove_reader(each.fileno())
                loop.call_soon(server.close)  # not now: the event loop is in the middle of accepting a connection
            self._look_later(RETRY_INTERVAL)

    def close(self) -> None:
        """Accept no more connections; those that wait are dropped."""
        self._is_serving = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for server in self._servers:
            server.close()
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
        servers: list[asyncio.Server] = []
        try:
            for each in self._sockets:
                servers.append(await self._start_server(each.dup()))  # noqa: PERF401 - an error leaves the first
        except OSError as error:
            for server in servers:
                server.close()
            self._warnings.warn("resume", "connections still wait, as a socket can't be used: %s", error)
            self._look_later(RETRY_INTERVAL)
            return
        if not self._is_serving:  # it was stopped meanwhile
            for server in servers:
                server.close()
            return
        self._servers = servers
        for each in self._sockets:
            each.listen(BACKLOG)
        self._look_later(WATCH_INTERVAL)

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
            for _ in range(self._accepted_at_once):
                taken.append(os.dup(self._sockets[0].fileno()))  # noqa: PERF401 - an error leaves the first
        except OSError as error:
            return error.errno not in (errno.EMFILE, errno.ENFILE)
        finally:
            for each in taken:
                os.close(each)
        return True
