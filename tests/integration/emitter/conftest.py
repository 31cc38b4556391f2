from __future__ import annotations

import pytest

from crosswire.runtime import loops
from tests.support.aio import LoopFactory


@pytest.fixture
def loop_factory() -> LoopFactory | None:
    """Run the asynchronous tests of this folder on the kind of loop that ``server.run()`` uses."""
    return loops.loop_factory()
