"""Starts and stops a server."""

from __future__ import annotations

import asyncio
import logging
import signal

from crosswire.cluster.node import Node
from crosswire.core.listeners import Hook
from crosswire.errors import ConfigError, UsageError
from crosswire.runtime.dispatch import fire
from crosswire.runtime.home import get_ident
from crosswire.runtime.signals import signal_or, stop_signals
from crosswire.server.context import Context
from crosswire.server.drain import GRACE, drain, end_handlers
from crosswire.server.upgrade import Upgrades
from crosswire.transport.picows_listener import PicowsListener

logger = logging.getLogger("crosswire.server")


class Lifecycle:
    """Whether a server runs, and how it comes to.

    Args:
        context: of the server.
        upgrades: told to take no more connections when it stops.
        listener: where connections come from.
        node: the server's part in the cluster.
    """

    __slots__ = ("_changing", "_context", "_listener", "_node", "_upgrades", "_watching", "running")

    def __init__(self, context: Context, upgrades: Upgrades, listener: PicowsListener, node: Node) -> None:
        self._node = node
        self._watching: asyncio.Task[None] | None = None
        self._context = context
        self._upgrades = upgrades
        self._listener = listener
        self._changing = asyncio.Lock()
        self.running = False

    async def start(self, *, listen: bool = True) -> None:
        """Listen, once ``on_start`` has ended; or only serve those who come through the acceptor.

        Raises:
            ConfigError: the address can't be used, or the server runs already.
            Exception: whatever an ``on_start`` handler raised; the server is then not started.
        """
        async with self._changing:
            if self.running:
                raise ConfigError("the server runs already: stop it first, or make another one")
            self._context.thread = get_ident()
            if listen:
                await self._listener.bind()
            try:
                await self._node.start()
                await self._run_hook(self._context.hooks.on_start)
                if listen:
                    await self._listener.serve()
            except BaseException:
                await self._listener.stop()
                await self._node.stop()
                raise
            self._upgrades.draining = False
            self.running = True
            self._watching = asyncio.create_task(self._stop_if_replaced(), name="crosswire watch over the name")
            logger.info("listening on %s", self._listener.address if listen else "no address")
            if listen:
                context = self._context
                fire(context.hooks.on_listening, (), context.tasks, lambda error: context.report(None, error, "a hook"))

    async def stop(self, seconds: float) -> None:
        """Take no more connections, end those there are, and leave no task behind. Does nothing if it does not run."""
        if not seconds >= 0:
            raise UsageError(f"drain is a number of seconds, 0 or more, not {seconds!r}")
        async with self._changing:
            if not self.running:
                return
            self.running = False
            if self._watching is not None and self._watching is not asyncio.current_task():
                self._watching.cancel()
            await self._end(seconds)

    async def _stop_if_replaced(self) -> None:
        """Serve nobody under a name that is another's: its clients go to the others."""
        await self._node.lost_name()
        await self.stop(0)

    async def run(self, seconds: float) -> None:
        """Run until SIGINT, which stops at once, or SIGTERM, which drains; a second signal stops at once too."""
        with stop_signals() as caught:
            await self.start()
            first = await signal_or(self._node.lost_name(), caught)
            if first is None:
                await self.stop(0)
                raise ConfigError(f"another node has taken over the name {self._node.name!r}")
            stopping = asyncio.create_task(self.stop(0 if first == signal.SIGINT else seconds), name="crosswire stop")
            second = asyncio.create_task(caught.get(), name="crosswire second signal")
            await asyncio.wait({stopping, second}, return_when=asyncio.FIRST_COMPLETED)
            second.cancel()
            if not stopping.done():
                stopping.cancel()
                await asyncio.wait({stopping})
                if stopping.cancelled():
                    await self._end(0)
                    return
            await stopping

    async def _end(self, seconds: float) -> None:
        self._upgrades.draining = True
        deadline = self._context.clock() + max(seconds, GRACE)
        await self._listener.stop()
        await drain(self._context, seconds)
        await end_handlers(self._context, max(deadline - self._context.clock(), 0))
        self._context.wheel.stop()
        await self._run_hook(self._context.hooks.on_stop)
        await self._node.stop()
        logger.info("stopped")

    async def _run_hook(self, hook: Hook[[]]) -> None:
        failures: list[BaseException] = []
        task = fire(hook, (), self._context.tasks, failures.append)
        if task is not None:
            try:
                await asyncio.wait({task})
            finally:
                if not task.done():  # this wait was cancelled, and the hook with it
                    task.cancel()
                    await asyncio.wait({task})
        if failures:
            raise failures[0]
