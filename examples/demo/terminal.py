"""The demo's log in the terminal: one calm line for everything that happens, on whichever node."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

DIM, BOLD, RED, GREEN, YELLOW, CYAN, MAGENTA = "2", "1", "31", "32", "33", "36", "35"


class Address(NamedTuple):
    """Where a node or a Redis is."""

    name: str
    url: str
    pid: int


class Terminal:
    """Prints what happens in the chat; in colours if it is a terminal that is written to.

    Args:
        node: whose news it prints.
    """

    def __init__(self, node: str = "") -> None:
        self._node = node
        self._colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def banner(self, nodes: Sequence[Address], valkeys: Sequence[Address]) -> None:
        """Tell a first visitor what this is, and what to try."""
        victim = nodes[1]
        lines = [
            f"{self._in(BOLD, 'Crosswire demo')}: a chat on {len(nodes)} nodes that act as one.",
            "",
            *(f"  {each.name}  {self._in(BOLD, each.url)}  pid {each.pid}" for each in nodes),
            *(f"  {each.name}  {each.url}  pid {each.pid}" for each in valkeys),
            "",
            f"Open {self._in(BOLD, nodes[0].url)} in a browser, and talk. Ctrl-C ends it.",
            f"Then kill a node, on the page or in another terminal: {self._in(BOLD, f'kill -9 {victim.pid}')}",
            f"The clients of {victim.name} move to the other nodes, and it is started again after some seconds.",
        ]
        print("", *(f"  {line}".rstrip() for line in lines), "", sep="\n", flush=True)

    def died(self, name: str, code: int, delay: float) -> None:
        """The process of a node or a Redis ended by itself, or was killed."""
        how = signal.Signals(-code).name if code < 0 else f"code {code}"
        self._line(RED, "x", f"{name} ended with {how}", f"it is started again in {delay:g} s")

    def node_is_back(self, node: Address) -> None:
        """A node that had died runs again."""
        self._line(GREEN, "o", f"{node.name} is back at {node.url}", f"pid {node.pid}")

    def arrived(self, user: str, here: int) -> None:
        """Somebody connected."""
        self._line(GREEN, "+", f"{plain(user)} is here", f"{here} on this node")

    def went(self, user: str, here: int, why: str) -> None:
        """Somebody is gone."""
        self._line(YELLOW, "-", f"{plain(user)} is gone ({plain(why)})", f"{here} on this node")

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

    def counts(self, people: int, nodes: int, messages: int) -> None:
        """How it stands."""
        self._line(DIM, "", f"{people} connected to {nodes} nodes, {messages} messages so far")

    def stopped(self, messages: int) -> None:
        """The last line."""
        print(f"\n  Stopped after {messages} messages.", flush=True)

    def _line(self, colour: str, where: str, text: str, note: str = "") -> None:
        when = self._in(DIM, f"{time.strftime('%H:%M:%S')}  {self._node:<6}")
        place = self._in(colour, f"{plain(where):<10}")
        after = self._in(DIM, f"  {note}") if note else ""
        sys.stdout.write(f"{when}  {place} {text}{after}\n")  # in one piece: the nodes share the terminal
        sys.stdout.flush()

    def _in(self, colour: str, text: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colours else text


def plain(text: str) -> str:
    """Make text of a stranger safe to print: a terminal would obey control characters."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
