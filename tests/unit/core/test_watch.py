from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from crosswire.core.envelopes import Beat
from crosswire.core.membership import ANSWER_TIME, BEAT_INTERVAL, BeatResult, Membership
from crosswire.core.watch import DOUBT_AFTER, WATCH_INTERVAL, WATCHED, Watch

RARELY = 10.0
TURN = BEAT_INTERVAL / 2


def beat(incarnation: str, every: float = RARELY) -> Beat:
    return Beat(incarnation, incarnation, 1.0, 1, every=every)


def members_of(*incarnations: str, every: float = RARELY) -> Membership:
    members = Membership()
    for each in incarnations:
        members.add(beat(each, every), 0)
    return members


def watched(watch: Watch) -> list[str]:
    return [each.beat.incarnation for each in watch]


def test_a_node_watches_those_that_follow_it_in_the_ring() -> None:
    for own, expected in (("0", ["1", "3"]), ("2", ["3", "5"]), ("4", ["5", "1"]), ("6", ["1", "3"])):
        watch = Watch(own)
        watch.choose(members_of("1", "3", "5"), 0)
        assert watched(watch) == expected


def test_members_that_beat_often_are_not_watched() -> None:
    watch = Watch("0")
    watch.choose(members_of("1", "2", every=BEAT_INTERVAL), 0)
    assert watched(watch) == []
    watch.choose((), 0)
    assert watched(watch) == []


def test_the_silence_of_a_member_counts_since_it_is_watched() -> None:
    members, watch = members_of("1", "2", "3"), Watch("0")
    watch.choose(members, 100)
    assert watch.silent(100 + DOUBT_AFTER - 0.01) == []
    members.receive(beat("1"), 101)
    (silent,) = watch.silent(100 + DOUBT_AFTER)
    assert silent.beat.incarnation == "2"
    assert members.doubt("2", "2", 100 + DOUBT_AFTER) is silent
    assert watch.silent(100 + DOUBT_AFTER) == []
    watch.choose(members, 100 + DOUBT_AFTER)
    assert watched(watch) == ["1", "2", "3"]  # one more than before
    assert watch.silent(100 + DOUBT_AFTER) == []
    members.receive(beat("2"), 102)
    watch.choose(members, 102)
    assert watched(watch) == ["1", "2"]


class Run:
    """A cluster of nodes that hear each other at once, in turns of half an interval."""

    def __init__(self, count: int) -> None:
        names = [f"{number:03}" for number in range(count)]
        self.knows = {name: members_of(*(each for each in names if each != name)) for name in names}
        self.watches = {name: Watch(name) for name in names}
        self.alive = set(names)
        self.turn = 0
        self.lost: dict[str, dict[str, float]] = {name: {} for name in names}
        for name in names:
            self.watches[name].choose(self.knows[name], 0)

    def pass_turn(self) -> None:
        self.turn += 1
        now = self.turn * TURN
        for name in sorted(self.alive):
            members, watch = self.knows[name], self.watches[name]
            _, dead = members.check_silence(now)
            for each in dead:
                members.lose(each)
                self.lost[name][each.beat.name] = now
            watch.choose(members, now)
            for silent in watch.silent(now):
                for listener in self.alive:  # this node hears its own doubt too
                    self._ask(listener, silent.beat.name, now)
            watch.choose(members, now)
            if self.turn % (WATCH_INTERVAL / TURN) == 0:
                for each in watch:
                    self._answer(name, each.beat.name, now)

    def _ask(self, asker: str, name: str, now: float) -> None:
        if self.knows[asker].doubt(name, name, now) is not None:
            self._answer(asker, name, now)

    def _answer(self, asker: str, name: str, now: float) -> None:
        if name in self.alive:
            assert self.knows[asker].receive(beat(name), now) is BeatResult.KNOWN


@given(data=st.data(), count=st.integers(2, 12), lived=st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_nodes_that_die_are_found_out_and_no_others(data: st.DataObject, count: int, lived: int) -> None:
    run = Run(count)
    for _ in range(lived):
        run.pass_turn()
    names = sorted(run.alive)
    victims = data.draw(st.sets(st.sampled_from(names), max_size=count - 1))
    run.alive -= victims
    died = run.turn * TURN
    row = longest_row(names, victims)
    rounds = max(0, row - WATCHED) + 1  # beyond, each of a row is watched only once the one before it is doubted
    limit = DOUBT_AFTER * rounds + ANSWER_TIME + 2 * TURN
    for _ in range(int(limit / TURN)):
        run.pass_turn()
    for name in run.alive:
        assert run.lost[name].keys() == victims
        assert all(when - died <= limit for when in run.lost[name].values())


def longest_row(names: list[str], victims: set[str]) -> int:
    """Count the victims that follow each other in the ring."""
    longest = current = 0
    for name in names * 2:
        current = current + 1 if name in victims else 0
        longest = max(longest, current)
    return min(longest, len(victims))


def test_one_that_dies_is_found_out_within_three_seconds() -> None:
    assert DOUBT_AFTER + ANSWER_TIME + 2 * TURN < 3
