"""Writes down which functions of a page's programs are called; Python imports it when a program starts."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

_directory = Path(os.environ["PAGE_DIRECTORY"])
_seen: set[tuple[str, int]] = set()


def _trace(frame: FrameType, event: str, argument: Any) -> None:
    code = frame.f_code
    called = (code.co_filename, code.co_firstlineno)
    if called not in _seen and code.co_filename.startswith(str(_directory)):
        _seen.add(called)
        with (_directory / "called").open("a") as record:
            record.write(f"{called[0]}:{called[1]}\n")


threading.settrace(_trace)
sys.settrace(_trace)
