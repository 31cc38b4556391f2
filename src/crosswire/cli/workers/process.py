"""A worker's process, as the supervisor sees it."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress

from crosswire.cli.workers.link import Assignment, Report, packed, read_report

LAST_REPORT_TIMEOUT = 1.0
"""Seconds to read a worker's last reports after its end; a process that it forked may keep the socket open."""


class WorkerProcess:
    """A worker's process.

    Args:
        process: the process.
        reading: task that reads the worker's reports.
    """

    __slots__ = ("_process", "_reading")

    def __init__(self, process: asyncio.subprocess.Process, reading: asyncio.Task[None]) -> None:
        self._process = process
        self._reading = reading

    @classmethod
    async def start(cls, assignment: Assignment, on_report: Callable[[Report], None]) -> WorkerProcess:
        """Start a worker in a process of its own.

        Args:
            assignment: its configuration. It is sent over the socket: URLs of Redis may contain passwords, and
                everybody can read a command line.
            on_report: called with each report of the worker.

        Raises:
            OSError: the system can't start another process.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            shown = (assignment.target, f"{assignment.number}/{assignment.workers}")  # for ps
            try:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "crosswire.cli.workers.worker", str(theirs.fileno()), *shown,
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,  # Ctrl-C in the terminal is for the supervisor
                )  # fmt: skip
            except BaseException:
                ours.close()
                raise
        name = f"crosswire worker {assignment.number}"
        return cls(process, asyncio.create_task(_converse(ours, assignment, on_report), name=name))

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, if it still runs."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def ended(self) -> int:
        """Wait until the process has ended; return its exit code, or minus the number of the signal that killed it."""
        code = await self._process.wait()
        await asyncio.wait({self._reading}, timeout=LAST_REPORT_TIMEOUT)
        self._reading.cancel()
        await asyncio.wait({self._reading})
        if not self._reading.cancelled():
            self._reading.result()
        return code


async def _converse(ours: socket.socket, assignment: Assignment, on_report: Callable[[Report], None]) -> None:
    reader, writer = await asyncio.open_connection(sock=ours)
    try:
        writer.write(packed(assignment))
        while line := await reader.readline():
            on_report(read_report(line))
    except ConnectionError:
        return  # the worker ended before it had read its assignment; the exit code says more
    finally:
        writer.close()
