"""Writes down which lines of a page's programs are executed; Python imports it when a program starts."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

_directory = os.environ["PAGE_DIRECTORY"]
_list = Path(os.environ["PAGE_EXECUTED"])
_executed: set[tuple[str, int]] = set()


def _trace(frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
    place = frame.f_code.co_filename, frame.f_lineno
    if not place[0].startswith(_directory):
        return None
    if place not in _executed:
        _executed.add(place)
        with _list.open("a") as record:
            record.write(f"{place[0]}:{place[1]}\n")
    return _trace


threading.settrace(_trace)
sys.settrace(_trace)
