"""How far a comparison is, and how long it will still take."""

from __future__ import annotations

import pytest
from bench.peers.peers import PEERS
from bench.peers.progress import Progress
from bench.peers.works import WORKS

CROSSWIRE, C, BUN = PEERS[:3]
FIRST, SECOND = WORKS[:2]


def test_before_anything_is_done_what_is_planned_is_left() -> None:
    progress = Progress([(FIRST, CROSSWIRE, 60.0), (FIRST, BUN, 120.0)])
    assert progress.seconds_left == 180
    assert str(progress) == "1 of 2, 3 min left"


def test_a_run_takes_what_the_last_one_of_its_kind_took_and_others_are_stretched_like_it() -> None:
    progress = Progress([(FIRST, CROSSWIRE, 10.0), (FIRST, CROSSWIRE, 10.0), (SECOND, CROSSWIRE, 20.0)])
    progress.done(FIRST, CROSSWIRE, 15.0)
    assert progress.seconds_left == pytest.approx(15 + 20 * 1.5)
    assert str(progress).startswith("2 of 3, ")


def test_a_repeated_run_is_none_of_those_that_are_left() -> None:
    progress = Progress([(FIRST, C, 10.0), (SECOND, C, 10.0)])
    for took in (10.0, 10.0):
        progress.done(FIRST, C, took)
    assert progress.seconds_left == 10


def test_the_runs_of_a_peer_that_is_left_out_are_not_left() -> None:
    progress = Progress([(FIRST, C, 10.0), (FIRST, C, 10.0), (FIRST, BUN, 5.0)])
    progress.drop(FIRST, C)
    assert progress.seconds_left == 5
    progress.done(FIRST, BUN, 5.0)
    assert progress.seconds_left == 0
