from __future__ import annotations

from crosswire.cli.workers.restarts import MAX_FAILED_STARTS, STABLE_AFTER, Restarts


def delays(restarts: Restarts, count: int, *, since: float = 0) -> list[float | None]:
    """Die so many times in a row, each time at once after it has listened."""
    given = []
    for death in range(count):
        restarts.listening(since + death)
        given.append(restarts.died(since + death, refused=False))
    return given


def test_delays_grow_for_a_worker_that_dies_again_and_again() -> None:
    assert delays(Restarts(), 9) == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10, 10]


def test_the_delay_is_short_after_a_worker_has_served_for_a_while() -> None:
    restarts = Restarts()
    assert delays(restarts, 4)[-1] == 1.6
    restarts.listening(100)
    assert restarts.died(100 + STABLE_AFTER, refused=False) == 0.2


def test_the_time_before_it_listened_does_not_count() -> None:
    restarts = Restarts()
    restarts.listening(0)
    assert restarts.died(STABLE_AFTER, refused=False) == 0.2
    assert restarts.died(STABLE_AFTER * 9, refused=False) == 0.4


def test_a_worker_that_refuses_to_start_is_given_up() -> None:
    assert Restarts().died(0, refused=True) is None


def test_a_worker_that_never_listens_is_given_up_in_the_end() -> None:
    restarts = Restarts()
    assert [restarts.died(0, refused=False) for _ in range(MAX_FAILED_STARTS)] == [0.2, 0.4, 0.8, 1.6, None]


def test_a_worker_that_has_served_is_never_given_up() -> None:
    restarts = Restarts()
    restarts.listening(0)
    given = [restarts.died(1, refused=True), *(restarts.died(1, refused=False) for _ in range(MAX_FAILED_STARTS * 2))]
    assert None not in given
    assert given[-1] == 10
