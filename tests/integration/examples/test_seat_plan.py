"""examples/seat_plan: the bug is found by a seed, which replays it; without it, no seed fails."""

from __future__ import annotations

from functools import partial

import pytest
from examples.seat_plan.test_app import an_evening

from crosswire.testing import Simulation, find_failing_seed

a_bad_evening = partial(an_evening, forgetful=True)


def test_the_bug_is_found_and_replayed_by_its_seed() -> None:
    failing = find_failing_seed(a_bad_evening, range(100))
    assert failing is not None
    assert failing.seed > 0, "it needs a search"
    for _ in range(2):
        again = Simulation(failing.seed)
        with pytest.raises(AssertionError) as failure:
            again.run(a_bad_evening)
        assert str(again.trace) == str(failing.trace)
        assert f"Simulation(seed={failing.seed})" in failure.value.__notes__[0]
    Simulation(failing.seed).run(an_evening)


def test_no_seed_fails_without_the_bug() -> None:
    failing = find_failing_seed(an_evening, range(60))
    assert failing is None, failing
