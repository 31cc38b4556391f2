from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from crosswire.core.envelopes import Beat, Goodbye
from crosswire.core.membership import (
    ANSWER_TIME,
    BEAT_INTERVAL,
    BELIEVED_FOR,
    DEAD_AFTER,
    MAX_BEATS,
    MAX_LATE,
    MAX_MEMBERS,
    SUSPECT_AFTER,
    BeatResult,
    Membership,
    age,
    beat_interval,
)


def beat(name: str = "a", run: int = 1, stamp: int = 1, **fields: Any) -> Beat:
    return Beat(name, f"{name}{run}", float(run), stamp, **fields)


def goodbye(name: str = "a", run: int = 1, stamp: int = 1) -> Goodbye:
    return Goodbye(name, f"{name}{run}", stamp)


class Cluster(RuleBasedStateMachine):
    """Nodes that come, beat, leave, die and are started again; what they say arrives late, twice, in any order."""

    said = Bundle("said")

    def __init__(self) -> None:
        super().__init__()
        self.members = Membership()
        self.present: dict[str, Beat] = {}
        self.heard: dict[str, float] = {}
        self.asked: dict[str, float] = {}
        self.updated: dict[str, float] = {}
        self.left: dict[str, tuple[int, float]] = {}
        self.now = 0.0
        self.stamp = 0

    @rule(
        target=said,
        name=st.sampled_from("ab"),
        run=st.integers(1, 3),
        paths=st.sets(st.sampled_from("xy")),
        every=st.sampled_from([BEAT_INTERVAL, 2.0]),
    )
    def say_beat(self, name: str, run: int, paths: set[str], every: float) -> Beat:
        self.stamp += 1
        return beat(name, run, self.stamp, paths=tuple(sorted(paths)), every=every)

    @rule(target=said, name=st.sampled_from("ab"), run=st.integers(1, 3))
    def say_goodbye(self, name: str, run: int) -> Goodbye:
        self.stamp += 1
        return goodbye(name, run, self.stamp)

    @rule(message=said)
    def arrive(self, message: Beat | Goodbye) -> None:
        before = self.present.get(message.name)
        if isinstance(message, Goodbye):
            gone = self.members.leave(message, self.now)
            assert (gone is not None) == (before is not None and before.incarnation == message.incarnation)
            if gone is not None:
                del self.present[message.name]
                self.asked.pop(message.name, None)
            self.left[message.incarnation] = message.stamp, self.now
            return
        heard = self.members.receive(message, self.now)
        assert heard is self._expected(message, before)
        if heard in (BeatResult.NEW, BeatResult.RIVAL):
            replaced = self.members.add(message, self.now)
            assert (None if replaced is None else replaced.beat) == before
            self._came(message)
        elif heard is BeatResult.KNOWN and before is not None:
            if message.stamp >= before.stamp or self.now - self.updated[message.name] >= MAX_LATE:
                self._came(message)
            self.heard[message.name] = self.now
            self.asked.pop(message.name, None)

    def _came(self, beat: Beat) -> None:
        self.present[beat.name] = beat
        self.heard[beat.name] = self.updated[beat.name] = self.now
        self.asked.pop(beat.name, None)

    def _expected(self, message: Beat, before: Beat | None) -> BeatResult:
        if before is not None and before.incarnation == message.incarnation:
            return BeatResult.KNOWN
        if before is not None and age(message) < age(before):
            return BeatResult.OUTDATED
        stamp, when = self.left.get(message.incarnation, (-1, 0.0))
        if message.stamp <= stamp and self.now - when < MAX_LATE:
            return BeatResult.OUTDATED
        return BeatResult.NEW if before is None else BeatResult.RIVAL

    @rule(name=st.sampled_from("ab"), run=st.integers(1, 3))
    def doubt(self, name: str, run: int) -> None:
        present = self.present.get(name)
        counts = (
            present is not None
            and present.incarnation == f"{name}{run}"
            and present.every > BEAT_INTERVAL
            and name not in self.asked
            and self.now - self.heard[name] >= BELIEVED_FOR
        )
        member = self.members.doubt(name, f"{name}{run}", self.now)
        assert (member is not None) == counts
        if member is not None:
            assert member.beat == present
            self.asked[name] = self.now

    @rule(passed=st.sampled_from([0.0, BEAT_INTERVAL, SUSPECT_AFTER, DEAD_AFTER]))
    def look(self, passed: float) -> None:
        self.now += passed
        doubtful, dead = self.members.check_silence(self.now)
        intervals = {name: (self.now - self.heard[name]) / beat.every for name, beat in self.present.items()}
        gone = {name for name, silence in intervals.items() if silence >= DEAD_AFTER / BEAT_INTERVAL}
        gone |= {name for name, when in self.asked.items() if self.now - when >= ANSWER_TIME}
        assert {each.beat.name for each in dead} == gone
        asked = {name for name, silence in intervals.items() if silence >= SUSPECT_AFTER / BEAT_INTERVAL}
        asked -= gone | self.asked.keys()
        assert {each.beat.name for each in doubtful} == asked
        self.asked |= dict.fromkeys(asked, self.now)
        for member in dead:
            assert self.members.remove(member.beat.name, member.beat.incarnation) is member
            assert self.members.remove(member.beat.name, member.beat.incarnation) is None
            del self.present[member.beat.name]
            self.asked.pop(member.beat.name, None)

    @rule()
    def excuse(self) -> None:
        self.members.reset_silence(self.now)
        self.heard = dict.fromkeys(self.present, self.now)
        self.asked.clear()

    @invariant()
    def the_members_are_those_of_the_model(self) -> None:
        assert {each.beat.name: each.beat for each in self.members} == self.present
        assert len(self.members) == len(self.present)
        paths = [set(each.paths) for each in self.present.values()]
        assert self.members.common_paths() == (set.intersection(*paths) if paths else None)


Cluster.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestCluster = Cluster.TestCase


def test_a_member_has_the_values_of_its_last_beat() -> None:
    members = Membership()
    assert members.receive(beat(stamp=1, connections=1), 0) is BeatResult.NEW
    members.add(beat(stamp=1, connections=1), 0)
    assert members.receive(beat(stamp=3, connections=3), 0) is BeatResult.KNOWN
    assert members.receive(beat(stamp=2, connections=2), 0) is BeatResult.KNOWN  # it came over a slower Redis
    member = members.get("a")
    assert member is not None
    assert member.info == ("a", "a1", 1.0, 3)
    assert "a" in members
    assert members.get("b") is None


def test_a_beat_that_comes_after_its_goodbye_is_outdated() -> None:
    members = Membership()
    members.add(beat(stamp=1), 0)
    assert members.leave(goodbye(stamp=3), 0) is not None
    assert members.receive(beat(stamp=2), 0) is BeatResult.OUTDATED
    assert members.receive(beat(stamp=4), 0) is BeatResult.NEW  # it is there after all


def test_a_goodbye_with_a_false_stamp_keeps_a_node_out_for_a_while_only() -> None:
    members = Membership()
    members.leave(goodbye(stamp=2**60), 0)
    assert members.receive(beat(stamp=4), MAX_LATE - 0.1) is BeatResult.OUTDATED
    assert members.receive(beat(stamp=4), MAX_LATE) is BeatResult.NEW


def test_a_beat_with_a_false_stamp_keeps_out_later_ones_for_a_while_only() -> None:
    members = Membership()
    members.add(beat(stamp=1, connections=1), 0)
    members.receive(beat(stamp=2**60, connections=99), 1)
    for now, connections in ((2, 99), (1 + MAX_LATE, 2)):
        members.receive(beat(stamp=3, connections=2), now)
        member = members.get("a")
        assert member is not None
        assert member.beat.connections == connections


def test_a_run_has_one_name_only() -> None:
    members = Membership()
    members.add(beat("a"), 0)
    assert members.receive(Beat("b", "a1", 1.0, 1), 0) is BeatResult.FALSE
    members.remove("a", "a1")
    assert members.receive(Beat("b", "a1", 1.0, 1), 0) is BeatResult.NEW


def test_there_is_a_limit_to_members() -> None:
    members = Membership()
    for number in range(MAX_MEMBERS):
        members.add(beat(str(number)), 0)
    assert members.receive(beat("a"), 0) is BeatResult.FALSE
    assert members.receive(beat("1"), 0) is BeatResult.KNOWN


def test_only_what_others_depend_on_counts_as_a_change() -> None:
    members = Membership()
    members.add(beat(paths=("x",)), 0)
    changes = members.changes
    members.receive(beat(stamp=2, paths=("x",), connections=5), 0)
    assert members.changes == changes
    members.receive(beat(stamp=3, paths=("x", "y")), 0)
    members.receive(beat(stamp=4, paths=("x", "y"), msgpack=True), 0)
    assert members.changes == changes + 2


def test_a_member_that_begins_to_beat_rarely_has_to_be_watched() -> None:
    members = Membership()
    members.add(beat(), 0)
    changes = members.changes
    members.receive(beat(stamp=2, every=2.0), 0)
    assert members.changes == changes + 1
    members.receive(beat(stamp=3, every=3.0), 0)
    assert members.changes == changes + 1


@pytest.mark.parametrize(
    ("members", "interval"), [(1, BEAT_INTERVAL), (50, BEAT_INTERVAL), (200, 2.0), (MAX_MEMBERS, 10.0)]
)
def test_all_nodes_together_beat_a_hundred_times_a_second(members: int, interval: float) -> None:
    assert beat_interval(members) == interval
    assert members / interval <= MAX_BEATS


def test_nodes_that_say_nothing_of_it_beat_every_half_second() -> None:
    assert beat().every == BEAT_INTERVAL


def test_a_goodbye_that_comes_before_any_beat_counts() -> None:
    members = Membership()
    assert members.leave(goodbye(stamp=3), 0) is None
    assert members.receive(beat(stamp=2), 0) is BeatResult.OUTDATED


def test_a_member_that_leaves_while_it_is_asked_is_not_dead_too() -> None:
    members = Membership()
    members.add(beat(every=2.0), 0)
    assert members.doubt("a", "a1", 0.5) is not None
    assert members.leave(goodbye(stamp=2), 0.5) is not None
    assert members.check_silence(0.5 + ANSWER_TIME) == ([], [])
    members.add(beat(run=2), 0.5)
    assert members.check_silence(0.5 + ANSWER_TIME) == ([], [])


def test_the_goodbye_of_an_earlier_run_does_not_remove_the_later_one() -> None:
    members = Membership()
    members.add(beat(run=1), 0)
    assert members.receive(beat(run=2), 0) is BeatResult.RIVAL
    assert members.add(beat(run=2), 0) is not None
    assert members.leave(goodbye(run=1, stamp=9), 0) is None
    assert "a" in members


def test_a_lost_path_is_not_common_until_all_say_so_again() -> None:
    members = Membership()
    assert members.common_paths() is None
    for name in "ab":
        members.add(beat(name, paths=("x", "y")), 0)
    members.lost_path("x")
    assert members.common_paths() == frozenset("y")
    members.receive(beat("a", stamp=2, paths=("x", "y")), 0)
    assert members.common_paths() == frozenset("y")
    members.receive(beat("b", stamp=2, paths=("x", "y")), 0)
    assert members.common_paths() == frozenset("xy")


@pytest.mark.parametrize("late", [1, 50])
def test_many_members_that_left_are_remembered(late: int) -> None:
    members = Membership()
    for run in range(100):
        members.leave(goodbye("a", run, stamp=5), 0)
    assert members.receive(beat("a", late, stamp=5), 0) is BeatResult.OUTDATED
