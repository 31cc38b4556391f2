"""Processes of a simulation: what runs in one that was killed never runs again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import Any

from crosswire.testing.virtual_clock import VirtualClockLoop


class Process:
    """A process of a simulation, which has one server or node.

    Attributes:
        name: of the server or node.
        alive: whether it was not killed.
    """

    __slots__ = ("alive", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True


current_process: ContextVar[Process | None] = ContextVar("process of a simulation", default=None)
"""The process that code belongs to; tasks and callbacks inherit it. None for that of the scenario itself."""


class SimulatedLoop(VirtualClockLoop):
    """A loop with a virtual clock whose callbacks belong to processes; those of a dead one are dropped.

    Args:
        seed: of the random numbers.

    Attributes:
        buries: whether callbacks of dead processes run after all, so that their tasks can be cancelled at the end.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.buries = False
        self._kept: list[asyncio.Task[Any]] = []

    def keep_tasks(self) -> None:
        """Keep the present tasks: as garbage, those of a dead process would be ended, and run their cleanups."""
        self._kept.extend(asyncio.all_tasks(self))

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Call a function in the next turn, if its process lives then."""
        process = current_process.get() if context is None else context.get(current_process)
        if process is None:
            return super().call_soon(callback, *args, context=context)
        return super().call_soon(self._run, process, callback, args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call a function at a time of the loop's clock, if its process lives then."""
        process = current_process.get() if context is None else context.get(current_process)
        if process is None:
            return super().call_at(when, callback, *args, context=context)
        return super().call_at(when, self._run, process, callback, args, context=context)

    def _run(self, process: Process, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        if process.alive or self.buries:
            callback(*args)
