"""Starts and stops a server."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any

from crosswire.cluster.node import Node
from crosswire.core.options import require_drain
from crosswire.runtime.dispatch import fire
from crosswire.runtime.loop_thread import get_ident
from crosswire.runtime.start_stop import StartStop, carry_through, run_each, run_hook
from crosswire.server.context import Context
from crosswire.server.drain import GRACE, send_all_away, spread, take_leave
from crosswire.server.upgrade import Upgrades
from crosswire.transport.picows_listener import PicowsListener

logger = logging.getLogger("crosswire.server")


class Lifecycle:
    """How a server comes to run, and to its end.

    Args:
        context: of the server.
        upgrades: told to take no more connections when it stops.
        listener: where connections come from.
        node: the server's part in the cluster.
    """

    __slots__ = ("_announcing", "_context", "_life", "_listener", "_node", "_upgrades", "_watching")

    def __init__(self, context: Context, upgrades: Upgrades, listener: PicowsListener, node: Node) -> None:
        self._node = node
        self._watching: asyncio.Task[None] | None = None
        self._announcing: asyncio.Task[None] | None = None
        self._context = context
        self._upgrades = upgrades
        self._listener = listener
        self._life = StartStop("server")

    @property
    def name(self) -> str:
        """The server's name."""
        return self._node.name

    @property
    def running(self) -> bool:
        """Whether it has been started and not stopped."""
        return self._life.running

    async def start(self, *, listen: bool = True) -> None:
        """Listen, once ``on_start`` has ended; or only serve those who come through the acceptor.

        Being cancelled, or stopped meanwhile, it undoes what it has begun.

        Raises:
            ConfigError: the address can't be used, or the server runs already.
            UsageError: it was started in another event loop.
            NotConnected: it was stopped meanwhile.
            Exception: whatever an ``on_start`` handler raised; the server is then not started.
        """
        await self._life.start(partial(self._begin, listen), partial(self._began, listen))

    async def stop(self, drain: float) -> None:
        """Take no more connections, end those there are, and leave no task behind. Does nothing if it does not run.

        Being cancelled, it hurries.
        """
        require_drain(drain)
        if self.running:
            self._upgrades.draining = True  # in this turn: who comes now is refused
        await self._life.stop(partial(self._end, drain, asyncio.current_task()))

    async def lost_name(self) -> None:
        """Wait until another node has taken over the name."""
        await self._node.lost_name()

    async def _begin(self, listen: bool) -> None:
        self._context.thread = get_ident()
        if listen:
            await self._listener.bind()
        try:
            await self._node.start()
            await run_hook(self._context.hooks.on_start, self._context.tasks)
            if listen:
                await self._listener.serve()
        except BaseException:
            await carry_through(self._listener.stop, self._node.stop)
            raise

    def _began(self, listen: bool) -> None:
        context = self._context
        self._upgrades.draining = context.failures.stopping = False
        self._watching = asyncio.create_task(self._stop_if_replaced(), name="crosswire watch over the name")
        logger.info("listening on %s", self._listener.address if listen else "no address")
        if listen:
            self._announcing = fire(context.hooks.on_listening, (), context.tasks, self._announcing_failed)

    def _announcing_failed(self, error: BaseException) -> None:
        self._context.failures.report(None, error, "a hook")

    async def _stop_if_replaced(self) -> None:
        """Serve nobody under a name that is another's: its clients go to the others."""
        await self._node.lost_name()
        await self.stop(0)

    async def _end(self, seconds: float, caller: asyncio.Task[Any] | None) -> None:
        context, deadline = self._context, self._context.clock() + max(seconds, GRACE)
        context.failures.stopping = True
        for task in (self._watching, self._announcing):
            if task is not None and task is not caller:
                task.cancel()
        try:
            await carry_through(
                self._listener.stop,
                partial(spread, context, seconds),
                partial(send_all_away, context, deadline),
                self._listener.end,
                partial(self._end_handlers, deadline, caller),
                partial(take_leave, context, caller),
                partial(self._cancel_handlers, caller),
                partial(run_each, context.hooks.on_stop, context.tasks),
                self._node.stop,
            )
        finally:
            logger.info("stopped")

    async def _end_handlers(self, deadline: float, caller: asyncio.Task[Any] | None) -> None:
        context = self._context
        await context.sessions.wait_gone(GRACE)  # those that were dropped are in the next turn
        await context.tasks.wait(max(deadline - context.clock(), 0), caller)

    async def _cancel_handlers(self, caller: asyncio.Task[Any] | None) -> None:
        context = self._context
        try:
            if not await context.tasks.wait(0, caller):
                logger.warning("%d handlers were still at work and are cancelled", len(context.tasks))
                context.workers.drop()
                await context.tasks.cancel(caller)
        finally:
            context.wheel.stop()
