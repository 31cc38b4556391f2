"""A Redis that holds logs of rooms, over a connection of its own."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from crosswire.cluster.log.interface import Append, AppendFailure
from crosswire.cluster.redis.commands import command
from crosswire.cluster.redis.link import Denied, Link, Unreachable
from crosswire.cluster.redis.log.run import ASK_REPLICATION, ASK_SERVER, Run, require_no_error
from crosswire.cluster.redis.log.scripts import ALL, Commands
from crosswire.cluster.redis.reconnecting import keep_connected
from crosswire.core.positions import EPOCH_LENGTH, LogPosition, parse_position
from crosswire.errors import BusUnavailable
from crosswire.runtime.log_records import get_logger

NOT_BEHIND = 0
"""Reply to an append: the message before it is not kept."""
ANOTHER_RUN = 1
"""Reply to an append or a read: the log is of another run than the one that the command names."""
MAX_READS = 32
"""Number of reads of one Redis at the same time; others wait. Each brings MAX_READ bytes and one message at most."""
_ATTEMPTS = 5
"""Number of times that a read is sent, if each time somebody flushes the scripts or the run is another one."""
_CHECKS = 3
"""Number of checks for a sign of life within the timeout of a heartbeat: see ``cluster/redis/endpoint.py``."""
_STABLE_TIME = 0.2
"""Seconds for which a connection must have worked to be opened again without a delay: messages wait for it."""
_UNUSABLE = re.compile(r"(?:^|-)(?:LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|BUSY|UNBLOCKED)\b")
"""Errors of a Redis that can't be used now for any command; within a script, their name may stand in the text.
NOREPLICAS is none of them: the next attempt would be refused too, and the messages would wait for long."""

logger = get_logger("crosswire.redis")

Dial = Callable[[], Awaitable[Link]]
Question = Callable[[Any], None]
"""Takes the reply to a command; None if the connection was lost before."""


class Holder:
    """The logs on one Redis: sends their commands, and connects again after each failure.

    The commands of one turn leave in one write. Replies come in the order of the commands. Where Redis has forgotten
    the scripts, or has begun another run, the appends that failed are sent again, in their order, when all replies to
    those that are on their way are there; new ones wait for that.

    Args:
        id: of the Redis.
        shown: its URL without the password.
        dial: opens a connection.
        commands: makes the commands.
        interval: seconds between the heartbeats.
        timeout: seconds without a sign of life that a heartbeat may take.
        changed: called when it can be reached, and when it can't.

    Attributes:
        id: as given.
        latency: None, as no choice is made by it.
        is_available: whether the Redis can be reached and keeps logs.
        denied: the reason for which it refuses this node until somebody changes the configuration of the Redis.
    """

    latency = None

    def __init__(
        self,
        id: str,
        shown: str,
        dial: Dial,
        commands: Commands,
        interval: float,
        timeout: float,
        changed: Callable[[str], None],
    ) -> None:
        self.id = id
        self.is_available = False
        self.denied: str | None = None
        self.commands = commands
        self._shown = shown
        self._dial = dial
        self._interval = interval
        self._timeout = timeout
        self._changed = changed
        self._run = Run()
        self._link: Link | None = None
        self._waiting: deque[Append | Question] = deque()  # for replies
        self._on_their_way = 0  # the appends among them
        self._again: list[Append] = []  # to be sent again
        self._held: list[Append] = []  # not sent yet
        self._reads = asyncio.Semaphore(MAX_READS)
        self._lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._failure_logged = False

    async def run(self) -> None:
        """Connect and watch the connection, again after each failure, until cancelled."""
        await keep_connected(self._run_once, _STABLE_TIME)

    async def close(self, timeout: float) -> None:
        """Wait for replies for a limited time, and disconnect, after ``run`` was cancelled."""
        link = self._link
        if link is None:
            return
        try:
            if self._on_their_way:
                await asyncio.wait((self.ask(command(b"PING")),), timeout=timeout)
        finally:
            self._failure_logged = True  # the end is not a failure
            link.close("the log of rooms is closed")
        await link.closed()

    def append(self, append: Append, *, is_fresh: bool = False) -> None:
        """Send an append. It must be available.

        Args:
            append: what to send.
            is_fresh: whether the run was asked for after the last reply.
        """
        if self._again or self._held:
            self._held.append(append)
            return
        assert self._link is not None
        self._waiting.append(append)
        self._on_their_way += 1
        self._link.send(self.commands.append(append, is_fresh=is_fresh))

    async def read(self, encode: Callable[[bool], bytes]) -> Any:
        """Send a command that reads, and return its reply.

        Args:
            encode: makes the command; takes whether the run was asked for after the last reply.

        Raises:
            BusUnavailable: the Redis can't be reached, or refuses.
        """
        async with self._reads:
            try:
                return await self._read(encode)
            except Unreachable as error:
                raise BusUnavailable(f"{self._shown} does not give what a room has kept: {error}") from error

    async def _read(self, encode: Callable[[bool], bytes]) -> list[Any]:
        is_fresh = False
        for _ in range(_ATTEMPTS):
            reply = await self.ask(encode(is_fresh))
            if reply == ANOTHER_RUN or _is_forgotten(reply):
                is_fresh = await self._ask_for_run()
            elif isinstance(reply, list):
                return reply
            else:
                raise Unreachable("the connection was lost" if reply is None else str(reply))
        raise Unreachable("it forgets the scripts again and again")

    def ask(self, encoded: bytes) -> asyncio.Future[Any]:
        """Send a command. The result of the future is the reply, or None if the connection is lost."""
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._ask(encoded, lambda each: None if reply.done() else reply.set_result(each))
        return reply

    # One connection

    async def _run_once(self) -> float:
        """Connect, and watch the connection until it is lost. Return the seconds for which it worked."""
        began: float | None = None
        try:
            await self._connect(await self._dial())
            began = self._time()
            await self._watch()
        except Unreachable as error:
            self._fail(str(error), is_denied=isinstance(error, Denied))
        except Exception as error:  # must not end the task, or this Redis would never be used again
            logger.exception("the connection for the history of rooms to %s failed", self._shown)
            self._fail(repr(error))
        return 0.0 if began is None else self._time() - began

    async def _connect(self, link: Link) -> None:
        self._lost = asyncio.get_running_loop().create_future()
        link.listen(self._take, self._lose)
        self._link = link
        try:
            await self._wait_while_alive(asyncio.ensure_future(self._ask_for_run()))
        except BaseException:
            link.close("it was not used")
            raise
        self.is_available, self.denied, self._failure_logged = True, None, False
        self._changed(self.id)

    async def _watch(self) -> None:
        """Ask for the replication again and again until the connection is lost.

        Raises:
            Unreachable: the Redis did not answer, or is the master no more.
        """
        while True:
            await asyncio.wait((self._lost,), timeout=self._interval)
            if self._lost.done():
                raise Unreachable(self._lost.result())
            self._run.take_replication(await self._wait_while_alive(self.ask(ASK_REPLICATION)))
            self.commands.use_run(self._run.name)

    async def _wait_while_alive(self, awaited: asyncio.Future[Any]) -> Any:
        """Wait for an answer while replies arrive, and return it. A task is cancelled if it does not come.

        Raises:
            Unreachable: no reply arrived for the timeout, or the connection was lost, perhaps right behind the answer.
        """
        link, quiet = self._link, 0
        heard = 0 if link is None else link.heard
        wait = self._timeout / _CHECKS
        try:
            while quiet < _CHECKS:
                await asyncio.wait((awaited, self._lost), timeout=wait, return_when="FIRST_COMPLETED")
                answer = awaited.result() if awaited.done() else None
                if self._lost.done() or link is None:
                    raise Unreachable(self._lost.result())
                if answer is not None:
                    return answer
                quiet, heard = (0 if link.heard != heard else quiet + 1), link.heard
            raise Unreachable("it does not answer")
        finally:
            awaited.cancel()

    def _fail(self, reason: str, *, is_denied: bool = False) -> None:
        if self._link is not None:
            self._link.close(reason)
        if not self._failure_logged:
            self._failure_logged = True
            logger.warning("%s can't keep the history of rooms now: %s", self._shown, reason)
        if is_denied and self.denied != reason:
            self.denied = reason
            self._changed(self.id)

    def _lose(self, reason: str) -> None:
        """Let everything fail that waits; the owner of an append sends it again."""
        self._link = None
        was_available, self.is_available = self.is_available, False
        waiting, again, held = list(self._waiting), self._again, self._held
        self._waiting.clear()
        self._again, self._held, self._on_their_way = [], [], 0
        if not self._lost.done():
            self._lost.set_result(reason)
        if was_available:
            self._changed(self.id)
        for append in (*again, *(each for each in waiting if isinstance(each, Append)), *held):
            append.failed(AppendFailure.LOST, reason)
        for question in waiting:
            if not isinstance(question, Append):
                question(None)

    # Commands

    def _ask(self, encoded: bytes, question: Question) -> None:
        if self._link is None:
            question(None)
        else:
            self._waiting.append(question)
            self._link.send(encoded)

    def _take(self, reply: Any) -> None:
        """Take the reply to the first command that waits for one."""
        if not self._waiting:
            self._drop("it sent an unexpected reply")
            return
        entry = self._waiting.popleft()
        if not isinstance(entry, Append):
            entry(reply)
            return
        self._on_their_way -= 1
        if type(reply) is bytes or type(reply) is list:
            self._kept(entry, reply)
        else:
            self._not_kept(entry, reply)
        if self._again and not self._on_their_way:
            self._send_again()

    def _kept(self, append: Append, reply: bytes | list[Any]) -> None:
        try:
            positions = read_positions(reply, len(append.messages))
        except ValueError:
            self._give_up(append, f"its answer can't be read: {reply!r:.200}")
        else:
            append.kept(positions)

    def _not_kept(self, append: Append, reply: Any) -> None:
        text = str(reply)
        if reply == ANOTHER_RUN or _is_forgotten(reply):
            self._again.append(append)
        elif reply == NOT_BEHIND:
            if any(each.log.channel == append.log.channel for each in self._again):
                self._again.append(append)  # the message before it is to be sent again too
            else:
                append.failed(AppendFailure.REFUSED, "the message before it is not kept")
        elif not isinstance(reply, Exception):
            self._give_up(append, f"its answer can't be read: {text:.200}")
        elif _UNUSABLE.search(text):
            self._give_up(append, text)
        else:
            append.failed(AppendFailure.REFUSED, text)

    def _give_up(self, append: Append, reason: str) -> None:
        """Drop the connection, with an append of which it is not known whether it is kept."""
        self._waiting.appendleft(append)
        self._on_their_way += 1
        self._drop(reason)

    def _send_again(self) -> None:
        """Load the scripts and ask for the run; then send again what had failed, and what waits."""
        self._ask_run(lambda error: self._drop(str(error)) if error is not None else self._resume())

    def _resume(self) -> None:
        again, self._again = self._again, []
        held, self._held = self._held, []
        for append in again:
            self.append(append, is_fresh=True)
        for append in held:
            self.append(append)

    async def _ask_for_run(self) -> bool:
        """Load the scripts and ask for the run, and return True.

        Raises:
            Unreachable: it did not tell.
        """
        done: asyncio.Future[Unreachable | None] = asyncio.get_running_loop().create_future()
        self._ask_run(lambda error: None if done.done() else done.set_result(error))
        if (error := await done) is not None:
            raise error
        return True

    def _ask_run(self, done: Callable[[Unreachable | None], None]) -> None:
        """Load the scripts and ask for the run; ``done`` takes None, or the reason for which that failed."""
        failures: list[Unreachable] = []

        def checked(take: Question) -> Question:
            def check(reply: Any) -> None:
                try:
                    if reply is None:
                        raise Unreachable("the connection was lost")
                    take(reply)
                except Unreachable as error:
                    failures.append(error)

            return check

        for script in ALL:
            self._ask(script.load, checked(require_no_error))
        self._ask(ASK_SERVER, checked(self._run.take_server))
        last = checked(self._run.take_replication)

        def finish(reply: Any) -> None:
            last(reply)
            self.commands.use_run(self._run.name)
            done(failures[0] if failures else None)

        self._ask(ASK_REPLICATION, finish)

    def _drop(self, reason: str) -> None:
        if self._link is not None:
            self._link.close(reason)

    def _time(self) -> float:
        return asyncio.get_running_loop().time()


def _is_forgotten(reply: Any) -> bool:
    return isinstance(reply, Exception) and str(reply).startswith("NOSCRIPT")


def read_positions(reply: bytes | list[Any], count: int) -> Sequence[LogPosition]:
    """Read the positions of messages: see ``lua/append.lua``.

    Raises:
        ValueError: there are no such positions.
    """
    if isinstance(reply, bytes):
        epoch_of_all, first = reply[:EPOCH_LENGTH].decode(), int(reply[EPOCH_LENGTH + 1 :])
        if count == 1:
            return (LogPosition(epoch_of_all, first),)
        return [LogPosition(epoch_of_all, offset) for offset in range(first, first + count)]
    epoch, *places = reply
    if len(places) != count or not isinstance(epoch, bytes):
        raise ValueError("there is not a position for each message")
    name = epoch.decode()
    return [LogPosition(name, place) if isinstance(place, int) else _position(place) for place in places]


def _position(text: bytes) -> LogPosition:
    if (position := parse_position(text.decode())) is None:
        raise ValueError(f"{text!r} is no position")
    return position
