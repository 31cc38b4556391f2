"""The commands and the output of a console block."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

VARYING = (
    r"\b[0-9a-f]{16}\b",  # an incarnation
    r"\b\d+(?:\.\d+)? ms\b",
    r"\b(?:\d+[dhm] )?\d+[hms]\b",  # a duration
    r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?\b",
)
"""What differs from run to run: where the page has one, another may be printed."""


class Command(NamedTuple):
    """A command of a console block, and what it prints."""

    text: str
    output: str


def commands(text: str) -> list[Command]:
    """Return the commands of a block: each begins after ``$``, and goes on after ``>``."""
    found: list[Command] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append(Command(line[2:], ""))
        elif line.startswith("> ") and not found[-1].output:
            found[-1] = found[-1]._replace(text=f"{found[-1].text}\n{line[2:]}")
        else:
            found[-1] = found[-1]._replace(output=f"{found[-1].output}{line}\n")
    return found


def matches(expected: str, printed: str, varying: Sequence[str] = ()) -> bool:
    """Return whether output is as the page says.

    Args:
        expected: the page's; ``...`` stands for anything.
        printed: the command's.
        varying: more regular expressions like those in ``VARYING``.
    """
    either = "|".join(f"(?:{each})" for each in (*varying, *VARYING))
    pattern = ""
    for word in re.split(rf"({either}|\.\.\.|\s+)", expected.strip()):
        if not word:
            continue
        if word == "...":
            pattern += r"[\s\S]*"
        elif word.isspace():
            pattern += r"\s+"
        else:
            kind = next((each for each in (*varying, *VARYING) if re.fullmatch(each, word)), None)
            pattern += re.escape(word) if kind is None else f"(?:{kind})"
    return re.fullmatch(pattern, printed.strip()) is not None
