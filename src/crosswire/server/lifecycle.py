"""Starts and stops a server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from crosswire.cluster.node import Node
from crosswire.core.options import require_drain
from crosswire.errors import UsageError
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.handler_calls import fire
from crosswire.runtime.log_records import about, get_logger, node_name
from crosswire.runtime.start_stop import StartStop, carry_through, run_each, run_hook
from crosswire.server.drain import MIN_TIME, Drain
from crosswire.server.failures import FailureReporter
from crosswire.server.hooks import Hooks
from crosswire.server.port_application import PortApplication
from crosswire.server.upgrade import Upgrades
from crosswire.transport.interface import NetworkListener

logger = get_logger("crosswire.server")


class Lifecycle:
    """The start and the stop of a server.

    Args:
        hooks: ``on_start``, ``on_listening`` and ``on_stop`` are called here.
        tasks: where hooks run.
        failures: reports hooks that fail; its ``stopping`` is set during the stop.
        drain: ends the connections.
        upgrades: refuses new connections from the stop on.
        listener: where connections come from.
        node: the server's part in the cluster.

    Attributes:
        applications: those on the port of the server: one or none.
    """

    __slots__ = (
        "_drain",
        "_failures",
        "_hooks",
        "_life",
        "_listener",
        "_name_watch",
        "_node",
        "_on_listening",
        "_tasks",
        "_upgrades",
        "applications",
    )

    def __init__(
        self,
        hooks: Hooks,
        tasks: BackgroundTasks,
        failures: FailureReporter,
        drain: Drain,
        upgrades: Upgrades,
        listener: NetworkListener,
        node: Node,
    ) -> None:
        self._node = node
        self.applications: tuple[PortApplication, ...] = ()
        self._name_watch: asyncio.Task[None] | None = None
        self._on_listening: asyncio.Task[None] | None = None
        self._hooks = hooks
        self._tasks = tasks
        self._failures = failures
        self._drain = drain
        self._upgrades = upgrades
        self._listener = listener
        self._life = StartStop("server")

    @property
    def name(self) -> str:
        """Name of the server, for the process that runs it."""
        return self._node.name

    @property
    def running(self) -> bool:
        """Whether the server has been started and not stopped."""
        return self._life.running

    @property
    def reload(self) -> Callable[[], None] | None:
        """Function that loads the certificate from its files again; None if it comes from no files."""
        return self._listener.reload

    def require_running(self) -> None:
        """Check that the server runs, in the current event loop.

        Raises:
            UsageError: it does not.
        """
        if not self.running:
            raise UsageError(
                "this server was not started: let the application's lifespan start it, as in "
                "FastAPI(lifespan=server.lifespan), or with `async with server.lifespan():` in a lifespan of your own"
            )
        if self._life.is_in_another_loop:
            raise UsageError("this server was started in another event loop, and serves WebSockets only there")

    async def start(self, *, listen: bool = True) -> None:
        """Join the cluster, call ``on_start``, and listen; or serve only connections that come through the acceptor.

        If the start is cancelled, or the server is stopped meanwhile, the start is undone.

        Raises:
            ConfigError: the address can't be used, or the server runs already.
            UsageError: it was started in another event loop.
            NotConnected: it was stopped meanwhile.
            Exception: whatever an ``on_start`` handler raised; the server is then not started.
        """
        end = partial(self._end, 0, asyncio.current_task())
        await self._life.start(partial(self._begin, listen), end, partial(self._began, listen))

    async def stop(self, drain: float) -> None:
        """Refuse new connections, end the others, and leave no task behind. Does nothing if the server does not run.

        If the stop is cancelled, it skips the waiting.
        """
        drain = require_drain(drain)
        if self.running:
            self._upgrades.draining = True  # set in this turn of the loop, to refuse connections from now on
        await self._life.stop(partial(self._end, drain, asyncio.current_task()))

    async def wait_until_replaced(self) -> None:
        """Wait until another node has taken over the name."""
        await self._node.wait_until_replaced()

    async def _begin(self, listen: bool) -> None:
        node_name.set(self.name)  # of the task of the start, and so of all that it begins
        if listen:
            await self._listener.bind()
        try:
            await self._node.start()
            for application in self.applications if listen else ():
                await application.start()
            await run_hook(self._hooks.on_start, self._tasks)
            if listen:
                await self._listener.serve()
        except BaseException:
            listener, applications = self._listener, self.applications
            await carry_through(listener.stop, listener.end, *[app.stop for app in applications], self._node.stop)
            raise

    def _began(self, listen: bool) -> None:
        self._upgrades.draining = self._failures.stopping = False
        self._name_watch = asyncio.create_task(self._stop_if_replaced(), name="crosswire watch name")
        logger.info("listening on %s", self._listener.address if listen else "no address")
        if listen:
            self._on_listening = fire(self._hooks.on_listening, (), self._tasks, self._on_listening_failed)

    def _on_listening_failed(self, error: BaseException) -> None:
        self._failures.report(None, error, "a hook", event="on_listening")

    async def _stop_if_replaced(self) -> None:
        """Stop when another node has taken over the name: the clients then reconnect to other servers."""
        await self._node.wait_until_replaced()
        await self.stop(0)

    async def _end(self, seconds: float, caller: asyncio.Task[Any] | None) -> None:
        drain, applications = self._drain, self.applications
        deadline = asyncio.get_running_loop().time() + max(seconds, MIN_TIME)
        self._upgrades.draining = self._failures.stopping = True
        for task in (self._name_watch, self._on_listening):
            if task is not None and task is not caller:
                task.cancel()
        try:
            await carry_through(
                self._listener.stop,
                *[app.close_idle for app in applications],
                partial(drain.spread, seconds),
                partial(drain.close_all, deadline),
                *[partial(app.finish, deadline, caller) for app in applications],
                self._listener.end,
                partial(drain.wait_for_handlers, deadline, caller),
                partial(drain.finish_teardowns, caller),
                partial(drain.cancel_handlers, caller),
                partial(run_each, self._hooks.on_stop, self._tasks),
                *[app.stop for app in applications],
                self._node.stop,
            )
        finally:
            logger.info("stopped", extra=about(node=self.name))
