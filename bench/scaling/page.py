"""The page docs/scaling.md: its text is written by hand, and what is measured stands between marks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from bench.native import BenchError

_MARKED = re.compile(r"(?P<begin><!-- measured: (?P<name>[\w-]+) -->\n).*?(?P<end><!-- /measured -->)", re.DOTALL)


def write(file: Path, parts: Mapping[str, str]) -> None:
    """Put what was measured into a page."""
    file.write_text(page_with(file.read_text(), parts))


def page_with(text: str, parts: Mapping[str, str]) -> str:
    """Return the text of a page with what was measured.

    Raises:
        BenchError: the page has other marks than there are parts.
    """
    names = marks(text)
    if sorted(names) != sorted(parts):
        raise BenchError(f"the page has places for {', '.join(names)}, and measured are {', '.join(parts)}")
    return _MARKED.sub(lambda found: f"{found['begin']}\n{parts[found['name']]}\n\n{found['end']}", text)


def marks(text: str) -> list[str]:
    """Return the names of what a page has places for."""
    return [found["name"] for found in _MARKED.finditer(text)]
