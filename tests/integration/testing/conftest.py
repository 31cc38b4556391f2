from __future__ import annotations

import asyncio
from functools import partial

import pytest
import uvloop

from tests.integration.testing.proxied import Run
from tests.support import aio


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    return partial(aio.run, loop_factory=request.param)
