"""Starting and stopping a node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from crosswire.cluster.client_channels import ClientChannels
from crosswire.cluster.connection import ClusterConnection
from crosswire.cluster.current_connection import CurrentConnection
from crosswire.cluster.hooks import NodeHooks
from crosswire.cluster.interface import Bus
from crosswire.cluster.pubsub import CustomChannels
from crosswire.cluster.responders import Responders
from crosswire.core.options import require_drain
from crosswire.errors import ConfigError, NotConnected
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.log_records import about, get_logger, node_name
from crosswire.runtime.loop_thread import get_ident, wrong_thread
from crosswire.runtime.start_stop import StartStop, carry_through, run_each, run_hook
from crosswire.runtime.thread_calls import ThreadCalls

logger = get_logger("crosswire.cluster")

MIN_DRAIN = 1.0
"""Seconds that running handlers get at least when a node stops."""


class NodeLifecycle:
    """Starts and stops a node, and keeps its connection to the cluster between.

    Args:
        name: of the node.
        bus: carries the node's messages; None for a node that is alone.
        connect: makes a connection to the cluster.
        responders: of the node; their waiting events are discarded when the node stops.
        handlers: the tasks of the application's handlers.
        background: the tasks of the connection.
        channels: the application's own; attached while the node runs.
        hooks: of the application.
        thread_calls: the calls of other threads; taken while the node runs.

    Attributes:
        name: of the node.
        bus: carries the node's messages.
        current: the connection, once the node has started.
    """

    def __init__(
        self,
        name: str,
        bus: Bus | None,
        connect: Callable[[str, Bus | None], ClusterConnection],
        responders: Responders,
        handlers: BackgroundTasks,
        background: BackgroundTasks,
        channels: CustomChannels,
        hooks: NodeHooks,
        thread_calls: ThreadCalls,
    ) -> None:
        self.name = name
        self.bus = bus
        self._connect = connect
        self._responders = responders
        self._handlers = handlers
        self._background = background
        self._channels = channels
        self._hooks = hooks
        self._thread_calls = thread_calls
        self._life = StartStop("node")
        self._starting: ClusterConnection | None = None
        self.current = CurrentConnection()
        self._replaced: asyncio.Event | None = None

    @property
    def running(self) -> bool:
        """Whether the node has been started and not stopped."""
        return self._life.running

    @property
    def bus_available(self) -> bool:
        """Whether the node runs, and other nodes can be reached."""
        connection = self._joined_connection()
        return connection is not None and connection.port.available

    def configure(self, name: str | None, bus: Bus | None) -> None:
        """Change the name and the bus of a node that does not run; None keeps the present one.

        Raises:
            ConfigError: the node runs.
        """
        self.require_stopped("it")
        self.name = self.name if name is None else name
        self.bus = self.bus if bus is None else bus

    @property
    def reload(self) -> Callable[[], None] | None:
        """None: a node has nothing to load again while it runs."""
        return None

    def require_stopped(self, what: str) -> None:
        """Check that the node does not run.

        Args:
            what: is configured, for the error.

        Raises:
            ConfigError: the node runs.
        """
        if self.running or self.current.connection is not None or self._starting is not None:
            raise ConfigError(f"the node runs already: configure {what} before")

    def connection(self) -> ClusterConnection:
        """Return the connection, for code in the event loop of the node.

        Raises:
            NotConnected: the node has not been started, or was stopped.
            WrongThread: this is not the thread of the node's event loop.
        """
        current = self.current
        connection = current.connection
        if connection is None or get_ident() != current.thread:
            connection = self.connection_for_any_thread()
            if get_ident() != current.thread:
                raise wrong_thread(f"node {self.name!r}")
        return connection

    def connection_for_any_thread(self) -> ClusterConnection:
        """Return the connection, for code in any thread, which must only read counters and names.

        Raises:
            NotConnected: the node has not been started, or was stopped.
        """
        connection = self._joined_connection()
        if connection is None:
            raise NotConnected(
                f"{self.name!r} has not been started, or was stopped: first `await start()` it, or enter it with "
                "`async with`; what is to happen at its start belongs into an on_start hook"
            )
        return connection

    def connection_or_starting(self) -> ClusterConnection:
        """Return the connection, even one that is still being started: other nodes may send requests that early."""
        return self.connection() if self._starting is None else self._starting

    def client_channels(self) -> ClientChannels | None:
        """Return the channels of this node's clients; None if it does not run, or nothing comes there.

        That is so where there can be no other nodes, and no room keeps history.
        """
        connection = self._joined_connection()
        if connection is None or (connection.alone and not connection.histories.kept):
            return None
        return connection.client_channels

    def user_channels(self) -> ClientChannels | None:
        """Return the channels of users; None if the node does not run, or there can be no other nodes."""
        connection = None if self.bus is None else self._joined_connection()
        return None if connection is None else connection.client_channels

    def _joined_connection(self) -> ClusterConnection | None:
        """Return the connection, from the moment when the node has its name; None before and after."""
        starting = self._starting
        return starting if starting is not None and starting.owns_name else self.current.connection

    async def start(self) -> None:
        """Join the cluster; see ``Node.start``."""
        await self._life.start(self._begin, partial(self._end, 0, asyncio.current_task()))

    async def stop(self, drain: float) -> None:
        """Leave the cluster; see ``Node.stop``."""
        drain = require_drain(drain)
        await self._life.stop(partial(self._end, drain, asyncio.current_task()))

    async def _begin(self) -> None:
        self._replaced = asyncio.Event()
        self.current.thread = get_ident()
        node_name.set(self.name)  # of the task of the start, and so of all that it begins
        self._thread_calls.open()
        self._starting = connection = self._connect(self.name, self.bus)
        try:
            await connection.start()
        except BaseException:
            self._thread_calls.close()
            await self._background.cancel()
            raise
        finally:
            self._starting = None
        self.current.connection = connection
        try:
            await self._channels.attach(connection)
            await run_hook(self._hooks.on_start, self._handlers)
        except BaseException:
            await carry_through(partial(self._cancel_handlers, None), partial(self._leave, connection))
            raise
        connection.release_events()

    async def _end(self, drain: float, caller: asyncio.Task[Any] | None) -> None:
        connection = self.current.connection
        assert connection is not None, "it runs"
        await carry_through(
            partial(self._end_handlers, max(drain, MIN_DRAIN), caller),
            partial(self._cancel_handlers, caller),
            partial(run_each, self._hooks.on_stop, self._handlers),
            partial(self._leave, connection),
        )

    async def _end_handlers(self, seconds: float, caller: asyncio.Task[Any] | None) -> None:
        await self._handlers.wait(seconds, caller)

    async def _cancel_handlers(self, caller: asyncio.Task[Any] | None) -> None:
        if not await self._handlers.wait(0, caller):
            logger.warning("%d handlers were still at work and are cancelled", len(self._handlers))
            self._hooks.drop()
            self._responders.drop()
            await self._handlers.cancel(caller)

    async def _leave(self, connection: ClusterConnection) -> None:
        connection.end_checks()
        try:
            await carry_through(
                self._background.cancel,
                partial(self._disconnect, connection),
                self._background.cancel,  # what a gap has begun meanwhile
            )
        finally:
            self.current.connection = None

    async def _disconnect(self, connection: ClusterConnection) -> None:
        self._thread_calls.close()
        self._channels.detach()
        await connection.leave()

    async def wait_until_replaced(self) -> None:
        """Wait until another node has taken over this node's name."""
        assert self._replaced is not None, "it has been started"
        await self._replaced.wait()

    def replaced(self) -> None:
        """Record that another node has taken over this node's name."""
        text = "another node has taken over the name %r: this one must stop"
        logger.critical(text, self.name, extra=about(node=self.name))
        if self._replaced is not None:
            self._replaced.set()
