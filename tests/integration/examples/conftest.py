"""A private directory for the examples, and a check that none of their processes is left."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crosswire.cluster.redis.embedded.keeper import SOCKET

_END_TIMEOUT = 20.0


class EmbeddedPlace:
    """Directory of the embedded Redis of the examples, which ends with its last user."""

    def __init__(self, temporary: str) -> None:
        self._place = Path(temporary, f"crosswire-{os.geteuid()}")

    @property
    def in_use(self) -> bool:
        """Whether some process of an example lives."""
        return any(self._place.glob(f"*/{SOCKET}"))

    def wait_until_left(self) -> None:
        """Wait until no process of an example lives; fail if there is one for too long."""
        deadline = time.monotonic() + _END_TIMEOUT
        while self.in_use:
            assert time.monotonic() < deadline, "a process of an example outlived it"
            time.sleep(0.02)


@pytest.fixture(scope="module", autouse=True)
def place() -> Iterator[EmbeddedPlace]:
    """Whoever runs the same examples on this machine has other nodes of the same names: theirs must not be met."""
    temporary = tempfile.mkdtemp(prefix="cw", dir="/tmp")  # short: a socket's path is
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", temporary)
        place = EmbeddedPlace(temporary)
        yield place
    place.wait_until_left()
    shutil.rmtree(temporary)
