from __future__ import annotations

import gc

import pytest

from crosswire.runtime.loops import run


async def thresholds() -> tuple[int, int, int]:
    return gc.get_threshold()


async def fail() -> None:
    raise KeyError("x")


def test_the_collector_looks_less_often_while_it_runs_and_as_before_afterwards() -> None:
    before = gc.get_threshold()
    during = run(thresholds())
    assert during[0] > before[0]
    assert during[1:] == before[1:]
    with pytest.raises(KeyError):
        run(fail())
    assert gc.get_threshold() == before
