"""One run of a worker, as the supervisor sees it."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress

from crosswire.cli.workers.link import Assignment, Report, packed, read_report

_LAST_WORDS = 1.0
"""Seconds to hear what a worker said before it ended; a process that it has forked may keep its end open."""


class WorkerProcess:
    """A worker's process.

    Args:
        process: of the worker.
        hearing: the task that takes its reports.
    """

    __slots__ = ("_hearing", "_process")

    def __init__(self, process: asyncio.subprocess.Process, hearing: asyncio.Task[None]) -> None:
        self._process = process
        self._hearing = hearing

    @classmethod
    async def start(cls, assignment: Assignment, told: Callable[[Report], None]) -> WorkerProcess:
        """Start one.

        Args:
            assignment: what it is to do. It goes over the socket, as Redis URLs may have passwords in them and anybody
                can read a command line.
            told: called with its reports.

        Raises:
            OSError: the system has no process to spare.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            shown = (assignment.target, f"{assignment.number}/{assignment.workers}")  # to be found with ps
            try:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "crosswire.cli.workers.worker", str(theirs.fileno()), *shown,
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,  # the terminal's Ctrl-C is for the supervisor, which decides
                )  # fmt: skip
            except BaseException:
                ours.close()
                raise
        name = f"crosswire worker {assignment.number}"
        return cls(process, asyncio.create_task(_converse(ours, assignment, told), name=name))

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it still runs."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def ended(self) -> int:
        """Wait for its end; return its exit code, or the number of the signal that killed it, negative."""
        code = await self._process.wait()
        await asyncio.wait({self._hearing}, timeout=_LAST_WORDS)
        self._hearing.cancel()
        await asyncio.wait({self._hearing})
        if not self._hearing.cancelled():
            self._hearing.result()
        return code


async def _converse(ours: socket.socket, assignment: Assignment, told: Callable[[Report], None]) -> None:
    reader, writer = await asyncio.open_connection(sock=ours)
    try:
        writer.write(packed(assignment))
        while line := await reader.readline():
            told(read_report(line))
    except ConnectionError:
        return  # it ended before it had read its assignment; the exit code says more
    finally:
        writer.close()
