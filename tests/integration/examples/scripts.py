"""Runs an example as a user does."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.running_program import RunningProgram as Script

__all__ = ["Script", "running"]

_ROOT = Path(__file__).resolve().parents[3]


@contextmanager
def running(path: str, *arguments: str) -> Iterator[Script]:
    """Run an example for as long as the context lasts."""
    command = [sys.executable, "-u", str(_ROOT / path), *arguments]
    script = Script(command, cwd=_ROOT, environment={**os.environ, "NO_COLOR": "1"})
    try:
        yield script
    finally:
        script.stop()
