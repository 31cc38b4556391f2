from __future__ import annotations

import pytest

from tests.support.aio import LoopFactory
from tests.support.loops import LOOP_FACTORIES


@pytest.fixture(params=LOOP_FACTORIES.values(), ids=list(LOOP_FACTORIES))
def loop_factory(request: pytest.FixtureRequest) -> LoopFactory:
    """Run every asynchronous test of this folder on each kind of event loop."""
    factory: LoopFactory = request.param
    return factory
