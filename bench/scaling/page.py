"""The page docs/scaling.md: the text of page.md, with what was measured in its places."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from bench.native import HERE, BenchError

TEMPLATE = HERE / "scaling" / "page.md"
"""The text, which is written by hand; a place is its part's name in two pairs of braces."""
_PLACE = re.compile(r"\{\{ ([\w-]+) \}\}")


def write(file: Path, parts: Mapping[str, str]) -> None:
    """Write the page."""
    file.write_text(filled(TEMPLATE.read_text(), parts))


def filled(template: str, parts: Mapping[str, str]) -> str:
    """Return a text with the parts in their places.

    Raises:
        BenchError: there are other places than parts.
    """
    names = places(template)
    if sorted(names) != sorted(parts):
        raise BenchError(f"the page has places for {', '.join(names)}, and measured are {', '.join(parts)}")
    return _PLACE.sub(lambda found: parts[found[1]], template)


def places(template: str) -> list[str]:
    """Return the names of the parts that a text has places for."""
    return _PLACE.findall(template)


def is_filled(page: str, template: str) -> bool:
    """Return whether a page is a text with something in each of its places."""
    texts = _PLACE.split(template)[::2]
    return re.fullmatch(r"[^{}\s][^{}]*".join(map(re.escape, texts)), page) is not None
