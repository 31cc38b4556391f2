from __future__ import annotations

import logging
from math import inf, nan
from typing import Any

import msgspec
import pytest

from crosswire.cluster.history.declarations import (
    MAX_NAMESPACES,
    Declarations,
    HistoryOptions,
    require_history,
)
from crosswire.core import envelopes
from crosswire.core.envelopes import Beat, HistoryDeclaration
from crosswire.errors import ConfigError, UsageError

A, B = "0a" * 8, "0b" * 8


class Watched:
    """Declarations that record their changes."""

    def __init__(self) -> None:
        self.changes: list[set[str]] = []
        self.declarations = Declarations()
        self.declarations.changed = self.changes.append


def test_a_declaration_holds_and_is_announced_as_the_nodes_own() -> None:
    watched = Watched()

    watched.declarations.declare("chat", HistoryOptions(100, 300))

    assert watched.declarations.kept == {"chat": (100, 300)}
    assert watched.declarations.announced == (HistoryDeclaration("chat", 100, 300),)
    assert watched.changes == [{"chat"}]


def test_a_node_knows_what_a_member_declares_and_passes_it_on() -> None:
    watched = Watched()

    watched.declarations.heard("a", A, (HistoryDeclaration("chat", 10, 20),))

    assert watched.declarations.kept == {"chat": (10, 20)}
    assert watched.declarations.announced == (HistoryDeclaration("chat", 10, 20, own=False),)
    assert watched.changes == [{"chat"}]


def test_what_is_announced_has_the_same_order_in_every_process() -> None:
    names = [f"namespace-{number}" for number in range(9)]
    declarations = Declarations()

    declarations.heard("a", A, tuple(HistoryDeclaration(name, 10, 20) for name in names))

    assert [each.namespace for each in declarations.announced] == names


def test_the_larger_size_and_ttl_hold_and_it_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    declarations = Declarations()
    declarations.declare("chat", HistoryOptions(100, 10))

    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            declarations.heard("a", A, (HistoryDeclaration("chat", 50, 20),))
        declarations.heard("a", A, (HistoryDeclaration("chat", 50, 20), HistoryDeclaration("game", 1, 1)))

    assert declarations.kept["chat"] == (100, 20)
    assert ["node 'a'" in each.getMessage() for each in caplog.records] == [True]


def test_it_is_warned_of_a_difference_to_what_was_heard_before(caplog: pytest.LogCaptureFixture) -> None:
    declarations = Declarations()
    declarations.heard("a", A, (HistoryDeclaration("chat", 50, 20),))

    with caplog.at_level(logging.WARNING):
        declarations.declare("chat", HistoryOptions(100, 10))

    assert declarations.kept["chat"] == (100, 20)
    assert len(caplog.records) == 1


def test_no_warning_of_what_a_member_only_passes_on(caplog: pytest.LogCaptureFixture) -> None:
    declarations = Declarations()
    declarations.declare("chat", HistoryOptions(100, 10))

    with caplog.at_level(logging.WARNING):
        declarations.heard("a", A, (HistoryDeclaration("chat", 500, 20, own=False),))

    assert declarations.kept["chat"] == (100, 10)
    assert caplog.records == []


def test_what_a_node_declared_that_is_gone_holds_until_another_declares_it() -> None:
    declarations = Declarations()
    declarations.heard("a", A, (HistoryDeclaration("chat", 500, 500),))

    declarations.gone(A)
    assert declarations.kept == {"chat": (500, 500)}

    declarations.heard("b", B, (HistoryDeclaration("chat", 50, 50),))
    assert declarations.kept == {"chat": (50, 50)}


def test_two_nodes_that_only_pass_it_on_agree_on_the_larger_one() -> None:
    declarations = Declarations()
    declarations.heard("a", A, (HistoryDeclaration("chat", 5, 50, own=False),))
    declarations.heard("b", B, (HistoryDeclaration("chat", 10, 10, own=False),))

    assert declarations.kept == {"chat": (10, 50)}


def test_a_start_forgets_what_others_said_but_not_what_the_node_declares() -> None:
    declarations = Declarations()
    declarations.declare("own", HistoryOptions(1, 1))
    declarations.heard("a", A, (HistoryDeclaration("own", 5, 5), HistoryDeclaration("theirs", 5, 5)))

    kept = declarations.kept
    declarations.begin()

    assert kept is declarations.kept
    assert declarations.kept == {"own": (1, 1)}
    assert declarations.announced == (HistoryDeclaration("own", 1, 1),)


def test_a_beat_without_history_says_nothing() -> None:
    watched = Watched()
    watched.declarations.heard("old", A, None)
    assert watched.changes == []


@pytest.mark.parametrize(
    "declared",
    [
        HistoryDeclaration("", 1, 1),
        HistoryDeclaration("x" * 257, 1, 1),
        HistoryDeclaration("x", 0, 1),
        HistoryDeclaration("x", 10_001, 1),
        HistoryDeclaration("x", 1, 0),
        HistoryDeclaration("x", 1, nan),
        HistoryDeclaration("x", 1, inf),
    ],
)
def test_what_no_node_can_declare_is_ignored(declared: HistoryDeclaration) -> None:
    declarations = Declarations()
    declarations.heard("a", A, (declared, HistoryDeclaration("chat", 1, 1)))
    assert list(declarations.kept) == ["chat"]


def test_the_number_of_namespaces_is_limited() -> None:
    declarations = Declarations()
    for number in range(MAX_NAMESPACES):
        declarations.declare(f"n{number}", HistoryOptions(1, 1))

    with pytest.raises(ConfigError, match="100 namespaces"):
        declarations.declare("more", HistoryOptions(1, 1))
    declarations.heard("a", A, (HistoryDeclaration("theirs", 1, 1),))

    assert len(declarations.kept) == MAX_NAMESPACES


@pytest.mark.parametrize("namespace", ["", 1, "x" * 257, "é" * 129, "\ud800"])
def test_a_namespace_that_is_no_name_or_too_long_is_refused(namespace: Any) -> None:
    with pytest.raises(UsageError):
        require_history(namespace, 1, 1)


@pytest.mark.parametrize(
    ("size", "ttl"), [(0, 1), (-1, 1), (1.5, 1), (True, 1), (10_001, 1), (1, 0), (1, "1"), (1, inf), (1, 2_592_001)]
)
def test_a_size_or_ttl_that_no_room_can_keep_is_refused(size: Any, ttl: Any) -> None:
    with pytest.raises(ConfigError, match="history"):
        require_history("chat", size, ttl)


class OldBeat(msgspec.Struct, array_like=True, tag="b"):
    """The beat of a version without history."""

    name: str
    incarnation: str
    since: float
    stamp: int
    connections: int = 0
    serves: bool = False
    msgpack: bool = False
    paths: tuple[str, ...] = ()
    asks: bool = False
    dialect: str = "native"
    owns: tuple[str, ...] | None = None


def test_an_older_node_reads_a_beat_with_history() -> None:
    beat = Beat("a", A, 1.0, 1, history=(HistoryDeclaration("chat", 1, 1),))
    old = msgspec.msgpack.decode(envelopes.encode(beat), type=OldBeat)
    assert (old.name, old.owns) == ("a", None)


def test_a_beat_of_an_older_node_has_no_history() -> None:
    beat = envelopes.decode(msgspec.msgpack.encode(OldBeat("a", A, 1.0, 1)))
    assert isinstance(beat, Beat)
    assert beat.history is None
