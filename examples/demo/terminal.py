"""The demo's log in the terminal: one line for everything that happens, on all nodes."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

DIM, BOLD, RED, GREEN, YELLOW, CYAN, MAGENTA = "2", "1", "31", "32", "33", "36", "35"


class Address(NamedTuple):
    """Address and process of a node or a Redis."""

    name: str
    url: str
    pid: int


class Terminal:
    """Log of the chat, in colours if the output is a terminal.

    Args:
        node: name of the node that writes it.
    """

    def __init__(self, node: str = "") -> None:
        self._node = node
        self._colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def banner(self, nodes: Sequence[Address], valkeys: Sequence[Address]) -> None:
        """Print what the demo is, and what to try."""
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
        """Log that the process of a node or a Redis ended, or was killed."""
        how = signal.Signals(-code).name if code < 0 else f"code {code}"
        self._line(RED, "x", f"{name} ended with {how}", f"it is started again in {delay:g} s")

    def node_is_back(self, node: Address) -> None:
        """Log that a node that had died runs again."""
        self._line(GREEN, "o", f"{node.name} is back at {node.url}", f"pid {node.pid}")

    def arrived(self, user: str, here: int) -> None:
        """Log that a user has connected."""
        self._line(GREEN, "+", f"{plain(user)} is here", f"{here} on this node")

    def went(self, user: str, here: int, why: str) -> None:
        """Log that a user has disconnected."""
        self._line(YELLOW, "-", f"{plain(user)} is gone ({plain(why)})", f"{here} on this node")

    def joined(self, user: str, room: str) -> None:
        """Log that a user joined a room."""
        self._line(DIM, f"#{room}", f"{plain(user)} joined")

    def left(self, user: str, room: str) -> None:
        """Log that a user left a room."""
        self._line(DIM, f"#{room}", f"{plain(user)} left")

    def said(self, user: str, to: str, name: str | None, text: str) -> None:
        """Log a message; of a private one only its length."""
        who = self._in(BOLD, plain(user))
        if to == "everyone":
            self._line(CYAN, "everyone", f"{who}: {plain(text)}")
        elif to == "room":
            self._line(CYAN, f"#{name}", f"{who}: {plain(text)}")
        else:
            self._line(MAGENTA, "private", f"{who} to {plain(name or '')}, {len(text)} characters")

    def polled(self, room: str, question: str, votes: Mapping[str, int], silent: int) -> None:
        """Log the result of a question to a room."""
        result = ", ".join(f"{plain(option)} {count}" for option, count in votes.items())
        missing = f"{silent} did not answer" if silent else "all answered"
        self._line(MAGENTA, f"#{room}", f"{plain(question)} {result}", missing)

    def counts(self, people: int, nodes: int, messages: int) -> None:
        """Log the numbers of users, nodes and messages."""
        self._line(DIM, "", f"{people} connected to {nodes} nodes, {messages} messages so far")

    def stopped(self, messages: int) -> None:
        """Log the end of the demo."""
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
    """Return a user's text without control characters, which a terminal would execute."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
