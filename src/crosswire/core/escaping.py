"""Text from elsewhere, made safe for a line of a log or of a terminal."""

from __future__ import annotations

import re

_LINE_BREAK_OR_WORSE = re.compile(r"[^\x20-\x7e]")


def escaped(text: str, limit: int) -> str:
    """Return a text in one line, and with at most ``limit`` of its characters.

    Characters that are not printable are escaped as in a string of Python: line breaks of any kind, control characters,
    which terminals execute, marks that change the direction of text, and halves of surrogate pairs, which can't be
    encoded.
    """
    more = len(text) - limit
    if more > 0:
        text = text[:limit]
    if not text.isprintable():
        text = _LINE_BREAK_OR_WORSE.sub(_escape, text)
    return f"{text}... ({more} characters more)" if more > 0 else text


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
