"""The event loops that asynchronous tests run on."""

from __future__ import annotations

import asyncio

import pytest
import uvloop

from crosswire.testing.virtual_clock import VirtualClockLoop
from tests.support.aio import LoopFactory

LOOP_FACTORIES: dict[str, LoopFactory] = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
"""Every kind of event loop that Crosswire supports, by its name."""

on_every_loop = pytest.mark.parametrize("loop_factory", LOOP_FACTORIES.values(), ids=list(LOOP_FACTORIES))
"""Runs an asynchronous test on each of them."""
on_asyncio = pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop], ids=["asyncio"])
"""Runs an asynchronous test on asyncio's own loop alone."""
on_instant_loop = pytest.mark.loop(factory=VirtualClockLoop)
"""Runs an asynchronous test, or those of a module, on a loop whose time passes as fast as its code."""
