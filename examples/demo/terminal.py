"""The demo's log in the terminal: one calm line for everything that happens."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping

DIM, BOLD, GREEN, YELLOW, CYAN, MAGENTA = "2", "1", "32", "33", "36", "35"


class Terminal:
    """Prints what happens in the chat; in colours if it is a terminal that is written to."""

    def __init__(self) -> None:
        self._colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def banner(self, url: str) -> None:
        """Tell a first visitor what this is."""
        print(
            f"\n  {self._in(BOLD, 'Crosswire demo')}: a chat with a few scripted clients."
            f"\n  Open {self._in(BOLD, url)} in a browser, best in two windows. Ctrl-C ends it.\n",
            flush=True,
        )

    def arrived(self, user: str, here: int) -> None:
        """Somebody connected."""
        self._line(GREEN, "+", f"{plain(user)} is here", f"{here} connected")

    def went(self, user: str, here: int, why: str) -> None:
        """Somebody is gone."""
        self._line(YELLOW, "-", f"{plain(user)} is gone ({plain(why)})", f"{here} connected")

    def joined(self, user: str, room: str) -> None:
        """Somebody joined a room."""
        self._line(DIM, f"#{room}", f"{plain(user)} joined")

    def left(self, user: str, room: str) -> None:
        """Somebody left a room."""
        self._line(DIM, f"#{room}", f"{plain(user)} left")

    def said(self, user: str, to: str, name: str | None, text: str) -> None:
        """Somebody said something; what is said to one user stays between the two."""
        who = self._in(BOLD, plain(user))
        if to == "everyone":
            self._line(CYAN, "everyone", f"{who}: {plain(text)}")
        elif to == "room":
            self._line(CYAN, f"#{name}", f"{who}: {plain(text)}")
        else:
            self._line(MAGENTA, "private", f"{who} to {plain(name or '')}, {len(text)} characters")

    def polled(self, room: str, question: str, votes: Mapping[str, int], silent: int) -> None:
        """A room was asked and answered."""
        result = ", ".join(f"{plain(option)} {count}" for option, count in votes.items())
        missing = f"{silent} did not answer" if silent else "all answered"
        self._line(MAGENTA, f"#{room}", f"{plain(question)} {result}", missing)

    def counts(self, people: int, rooms: int, messages: int) -> None:
        """How it stands."""
        self._line(DIM, "", f"{people} connected, {rooms} rooms, {messages} messages so far")

    def stopped(self, messages: int) -> None:
        """The last line."""
        print(f"\n  Stopped after {messages} messages.", flush=True)

    def _line(self, colour: str, where: str, text: str, note: str = "") -> None:
        place = self._in(colour, f"{plain(where):<10}")
        after = self._in(DIM, f"  {note}") if note else ""
        print(f"{self._in(DIM, time.strftime('%H:%M:%S'))}  {place} {text}{after}", flush=True)

    def _in(self, colour: str, text: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colours else text


def plain(text: str) -> str:
    """Make text of a stranger safe to print: a terminal would obey control characters."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
