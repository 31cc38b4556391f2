from __future__ import annotations

from collections.abc import Sequence

import pytest

from crosswire.core.early_records import EARLY_OVERHEAD, MAX_EARLY, MAX_EARLY_BYTES, MAX_EARLY_EPOCHS
from crosswire.core.kept_messages import Kept
from crosswire.core.log_epochs import MAX_OLD_EPOCHS
from crosswire.core.positions import LogPosition
from crosswire.core.timeline import MAX_VAIN_READS, NO_CHANGE, Change, Recovery, Timeline
from tests.support.kept import ALICE, BOB, kept, numbered

E, F, G = "epoch-E0", "epoch-F0", "epoch-G0"


def new_timeline(size: int = 100, ttl: float = 300) -> Timeline:
    return Timeline(size, ttl)


def loaded(last: int = 5, *, size: int = 100, ttl: float = 300, settled: int = 0, first: int = 1) -> Timeline:
    """Return a timeline that has read the messages of an epoch up to an offset."""
    timeline = new_timeline(size, ttl)
    assert load(timeline, E, last, numbered(first, last), settled=settled) == NO_CHANGE
    return timeline


def load(
    timeline: Timeline, epoch: str, last: int, records: Sequence[Kept] = (), *, settled: int = 0, ahead: float = 0.0
) -> Change:
    return timeline.load(LogPosition(epoch, last), settled, ahead, records)


def recover(timeline: Timeline, offset: int | None, *, epoch: str = E, rewind: int = 0, now: float = 0.0) -> Recovery:
    offered = None if offset is None else LogPosition(epoch, offset)
    return timeline.recover(offered, rewind=rewind, now=now, max_bytes=10_000)


def offsets(messages: Sequence[Kept]) -> list[int]:
    return [each.offset for each in messages]


# The first read.


def test_a_timeline_has_no_position_before_the_first_read() -> None:
    timeline = new_timeline()
    assert not timeline.is_loaded
    assert timeline.position is None
    assert recover(timeline, 3) == (False, "unavailable", None, ())
    assert recover(timeline, None) == (None, None, None, ())


def test_the_first_read_hands_nothing_on() -> None:
    timeline = loaded(5)
    assert timeline.is_loaded
    assert timeline.position == LogPosition(E, 5)


def test_records_that_came_before_the_first_read_follow_it() -> None:
    timeline = new_timeline()
    assert timeline.take(E, kept(5)) == NO_CHANGE
    assert timeline.take(E, kept(6)) == NO_CHANGE
    change = load(timeline, E, 5, numbered(1, 5))
    assert (offsets(change.ready), change.lost, change.needs) == ([5, 6], None, None)
    assert timeline.position == LogPosition(E, 6)
    assert offsets(recover(timeline, 3).messages) == [4, 5, 6]


def test_records_behind_a_hole_after_the_first_read_are_read() -> None:
    timeline = new_timeline()
    timeline.take(E, kept(9))
    assert load(timeline, E, 7, numbered(1, 7)).needs == 7
    change = load(timeline, E, 9, numbered(8, 9))
    assert offsets(change.ready) == [8, 9]


def test_who_joined_before_the_first_read_is_told_the_position() -> None:
    timeline = new_timeline()
    recover(timeline, 4)
    timeline.take(E, kept(6))
    change = load(timeline, E, 7, numbered(1, 7))
    assert (change.lost, change.at, offsets(change.ready)) == ("unavailable", LogPosition(E, 5), [6, 7])


def test_a_first_read_that_is_older_than_what_came_live_is_repeated() -> None:
    timeline = new_timeline()
    timeline.take(F, None)
    timeline.take(F, kept(1))
    assert load(timeline, E, 5, numbered(1, 5)).needs == 0
    change = load(timeline, F, 1, [kept(1, number=9)])
    assert (change.lost, change.at, offsets(change.ready)) == ("epoch", LogPosition(F, 0), [1])
    assert timeline.position == LogPosition(F, 1)


def test_a_log_whose_messages_are_too_old_has_a_position_all_the_same() -> None:
    timeline = new_timeline()
    load(timeline, E, 7)
    assert timeline.position == LogPosition(E, 7)
    assert recover(timeline, 7).recovered is True
    assert recover(timeline, 6) == (False, "expired", LogPosition(E, 7), ())


# What comes live.


def test_the_next_record_is_handed_on() -> None:
    timeline = loaded(5)
    assert offsets(timeline.take(E, kept(6)).ready) == [6]
    assert timeline.position == LogPosition(E, 6)


def test_twins_are_dropped() -> None:
    timeline = loaded(5)
    timeline.take(E, kept(6))
    assert timeline.take(E, kept(6)) == NO_CHANGE
    assert timeline.take(E, kept(2)) == NO_CHANGE
    assert timeline.take(E, None) == NO_CHANGE


def test_a_hole_is_read_once_and_filled_in_order() -> None:
    timeline = loaded(5)
    assert timeline.take(E, kept(8)) == Change(needs=5)
    assert timeline.take(E, kept(7)) == NO_CHANGE
    change = load(timeline, E, 8, numbered(6, 8))
    assert offsets(change.ready) == [6, 7, 8]
    assert (change.lost, change.needs) == (None, None)


def test_a_hole_may_be_filled_by_what_comes_live() -> None:
    timeline = loaded(5)
    timeline.take(E, kept(7))
    assert offsets(timeline.take(E, kept(6)).ready) == [6, 7]
    assert load(timeline, E, 7, numbered(6, 7)) == NO_CHANGE


def test_messages_of_a_hole_that_are_gone_are_told() -> None:
    timeline = loaded(5)
    timeline.take(E, kept(9))
    change = load(timeline, E, 9, [kept(9)])
    assert (change.lost, change.at, offsets(change.ready)) == ("trimmed", LogPosition(E, 8), [9])
    assert recover(timeline, 8).recovered is True
    assert recover(timeline, 5).reason == "trimmed"


def test_what_is_there_on_both_sides_of_what_is_gone_is_handed_on() -> None:
    timeline = loaded(5)
    timeline.take(E, kept(8))
    change = load(timeline, E, 8, [kept(6), kept(8)])
    assert (change.lost, offsets(change.ready), change.needs) == (None, [6], 6)
    change = load(timeline, E, 8, [kept(8)])
    assert (change.lost, change.at, offsets(change.ready)) == ("trimmed", LogPosition(E, 7), [8])
    assert recover(timeline, 6).reason == "trimmed"


def test_everything_after_a_position_may_be_gone() -> None:
    timeline = loaded(5)
    timeline.expect_load(5)
    change = load(timeline, E, 9)
    assert (change.lost, change.at, change.ready) == ("trimmed", LogPosition(E, 9), ())


def test_a_hole_behind_what_was_read_may_still_be_filled() -> None:
    timeline = loaded(5)
    timeline.take(E, kept(7))
    timeline.take(E, kept(10))
    change = load(timeline, E, 7, [kept(6), kept(7)])
    assert (offsets(change.ready), change.lost, change.needs) == ([6, 7], None, 7)


def test_a_late_answer_of_a_log_changes_nothing() -> None:
    timeline = loaded(5)
    timeline.take(E, kept(7))
    timeline.take(E, kept(6))
    assert load(timeline, E, 4) == NO_CHANGE
    assert timeline.position == LogPosition(E, 7)


def test_reads_in_vain_end() -> None:
    timeline = loaded(5)
    timeline.take(E, kept(9))
    needs = [load(timeline, E, 5).needs for _ in range(MAX_VAIN_READS + 1)]
    assert needs == [5] * MAX_VAIN_READS + [None]
    assert timeline.take(E, kept(10)).needs == 5


def test_too_many_early_records_end_the_wait() -> None:
    timeline = loaded(5)
    changes = [timeline.take(E, kept(offset)) for offset in range(7, 7 + MAX_EARLY + 1)]
    assert [change.lost for change in changes] == [None] * MAX_EARLY + ["trimmed"]
    assert changes[-1].at == LogPosition(E, 6)
    assert offsets(changes[-1].ready) == list(range(7, 7 + MAX_EARLY + 1))
    assert offsets(timeline.take(E, kept(8 + MAX_EARLY)).ready) == [8 + MAX_EARLY]


def test_too_many_bytes_of_early_records_end_the_wait() -> None:
    timeline = loaded(5)
    size = MAX_EARLY_BYTES // 4
    changes = [timeline.take(E, kept(offset, size=size - EARLY_OVERHEAD)) for offset in range(7, 12)]
    assert [change.lost for change in changes] == [None] * 4 + ["trimmed"]


def test_too_many_records_before_the_first_read_are_read() -> None:
    timeline = new_timeline()
    for offset in range(6, 6 + MAX_EARLY + 3):
        assert timeline.take(E, kept(offset)) == NO_CHANGE
    last = 5 + MAX_EARLY + 3
    load(timeline, E, last, numbered(last - 49, last))
    assert timeline.position == LogPosition(E, last)


# Epochs.


def test_a_new_epoch_is_read_before_it_is_used() -> None:
    timeline = loaded(5)
    assert timeline.take(F, None) == Change(needs=0)
    assert timeline.take(F, kept(1)) == NO_CHANGE
    assert offsets(timeline.take(E, kept(6)).ready) == [6]
    change = load(timeline, F, 1, [kept(1, number=9)])
    assert (change.lost, change.at, change.needs) == ("epoch", LogPosition(F, 0), None)
    assert recover(timeline, 6).reason == "epoch"


def test_the_loss_of_an_epoch_is_told_once() -> None:
    timeline = loaded(5)
    timeline.take(F, None)
    assert load(timeline, F, 0).lost == "epoch"
    assert timeline.take(F, None).lost is None
    assert timeline.take(F, kept(1, number=9)).lost is None


def test_an_epoch_that_only_a_read_shows_is_used_with_all_its_messages() -> None:
    timeline = loaded(0)
    timeline.expect_load(0)
    change = load(timeline, F, 3, numbered(1, 3))
    assert (change.lost, change.at, offsets(change.ready)) == ("epoch", LogPosition(F, 0), [1, 2, 3])


def test_an_epoch_whose_beginning_was_not_read_is_read_from_there() -> None:
    timeline = loaded(5)
    timeline.take(E, kept(7))
    assert load(timeline, F, 8, [kept(6), kept(7), kept(8)]).needs == 0
    change = load(timeline, F, 8, [kept(offset, number=offset + 10) for offset in range(4, 9)])
    assert (change.lost, change.at) == ("epoch", LogPosition(F, 3))
    assert [[each.number for each in run] for run in change.before] == [[7]]
    assert [each.number for each in change.ready] == [14, 15, 16, 17, 18]


def test_a_late_record_of_an_old_epoch_does_not_bring_it_back() -> None:
    timeline = loaded(5)
    timeline.take(F, None)
    load(timeline, F, 0)
    assert timeline.take(E, kept(5)) == NO_CHANGE
    assert timeline.take(E, None) == NO_CHANGE
    assert timeline.position == LogPosition(F, 0)


def test_a_late_message_that_nobody_has_heard_is_handed_on_and_makes_the_timeline_void() -> None:
    timeline = loaded(5)
    timeline.take(F, None)
    load(timeline, F, 0)
    change = timeline.take(E, kept(6))
    assert (offsets(change.ready), change.voids, change.lost) == ([6], True, None)
    assert timeline.take(E, kept(6)) == NO_CHANGE
    assert timeline.position is None
    assert recover(timeline, 0, epoch=F).reason == "unavailable"


def test_records_of_a_log_that_is_not_in_use_are_handed_on_and_make_the_timeline_void() -> None:
    timeline = loaded(5)
    assert timeline.take(F, kept(3, origin=BOB)).needs == 0
    change = load(timeline, E, 5)
    assert ([each.origin for each in change.ready], change.voids) == ([BOB], True)
    assert timeline.take(F, kept(4, origin=BOB)).voids


def test_a_read_that_is_older_than_an_unknown_epoch_does_not_judge_it() -> None:
    timeline = loaded(5)
    timeline.take(E, kept(7))
    timeline.take(F, None)  # while the hole is read
    change = load(timeline, E, 7, numbered(6, 7))
    assert (offsets(change.ready), change.lost, change.needs) == ([6, 7], None, 0)
    assert load(timeline, F, 0).lost == "epoch"


def test_a_read_of_an_old_epoch_is_repeated() -> None:
    timeline = loaded(5)
    timeline.take(F, None)
    load(timeline, F, 0)
    timeline.take(F, kept(2, number=9))
    assert load(timeline, E, 5).needs == 0
    assert offsets(load(timeline, F, 2, [kept(1, number=8), kept(2, number=9)]).ready) == [1, 2]


def test_as_many_old_epochs_are_remembered_as_is_said() -> None:
    timeline = loaded(5)
    for index in range(MAX_OLD_EPOCHS + 2):
        timeline.expect_load(0)
        assert load(timeline, f"F{index:07}", 0).lost == "epoch"
    assert timeline.take("F0000005", kept(1)) == NO_CHANGE  # it is known to be over, and its message was heard
    assert timeline.take(E, kept(6)).needs == 0


def test_too_many_unknown_epochs_are_not_held() -> None:
    timeline = loaded(5)
    for index in range(MAX_EARLY_EPOCHS * 3):
        timeline.take(f"F{index:07}", kept(1))
    assert load(timeline, "F0000095", 1, [kept(1, number=9)]).lost == "epoch"


# Messages without a position.


def test_a_message_without_a_position_is_handed_on_once() -> None:
    timeline = loaded(5)
    assert timeline.take_unplaced(ALICE, 6)
    assert not timeline.take_unplaced(ALICE, 6)
    assert timeline.take(E, kept(6)).ready == ()
    assert timeline.position == LogPosition(E, 6)


def test_a_copy_of_what_the_log_brought_is_not_new() -> None:
    timeline = loaded(5)
    timeline.take(E, kept(6))
    assert not timeline.take_unplaced(ALICE, 6)


def test_a_position_before_what_was_heard_without_one_is_not_recovered() -> None:
    timeline = loaded(5)
    timeline.take_unplaced(ALICE, 7)
    assert offsets(timeline.take(E, kept(6, origin=BOB)).ready) == [6]
    assert timeline.take(E, kept(7)).ready == ()
    assert recover(timeline, 6).reason == "epoch"  # its owner has heard the message 7
    assert recover(timeline, 7).recovered is True


def test_who_did_not_hear_what_is_not_handed_on_again_is_told_with_the_next_message() -> None:
    timeline = loaded(5)
    timeline.take_unplaced(ALICE, 6)
    timeline.take_unplaced(ALICE, 7)
    assert timeline.take(E, kept(6)) == Change(needs=6)
    assert timeline.take(E, kept(7)) == NO_CHANGE
    change = timeline.take(E, kept(8))
    assert (change.lost, change.at, offsets(change.ready)) == ("epoch", LogPosition(E, 7), [8])
    assert load(timeline, E, 8, numbered(7, 8)) == NO_CHANGE


def test_who_did_not_hear_what_is_not_handed_on_again_is_told_when_the_log_was_read() -> None:
    timeline = loaded(5)
    timeline.take_unplaced(ALICE, 6)
    timeline.take(E, kept(6))
    change = load(timeline, E, 6)
    assert (change.lost, change.at, change.ready, change.needs) == ("epoch", LogPosition(E, 6), (), None)


def test_nothing_follows_what_is_not_handed_on_again_before_that_is_told() -> None:
    timeline = loaded(5)
    timeline.take_unplaced(ALICE, 7)
    timeline.take(E, kept(8, origin=BOB))
    timeline.take(E, kept(7))
    change = timeline.take(E, kept(6, origin=BOB))
    assert (change.lost, offsets(change.ready), change.needs) == (None, [6], None)
    change = load(timeline, E, 8, [kept(6, origin=BOB), kept(7), kept(8, origin=BOB)])
    assert (change.lost, change.at, offsets(change.ready)) == ("epoch", LogPosition(E, 7), [8])


def test_everything_after_what_a_read_brings_may_be_gone() -> None:
    timeline = loaded(5)
    timeline.take(E, kept(9))
    change = load(timeline, E, 8, [kept(6)])
    assert (change.lost, offsets(change.ready), change.needs) == (None, [6], 6)
    change = load(timeline, E, 9, [kept(9)])
    assert (change.lost, change.at, offsets(change.ready)) == ("trimmed", LogPosition(E, 8), [9])


def test_an_overtaken_message_is_handed_on() -> None:
    timeline = loaded(5)
    assert timeline.take_unplaced(ALICE, 8)
    assert offsets(timeline.take(E, kept(6, number=7)).ready) == [6]


def test_what_was_heard_in_one_epoch_is_not_handed_on_again_in_the_next() -> None:
    timeline = loaded(5)
    timeline.take(E, kept(6))
    timeline.take(F, None)
    change = load(timeline, F, 2, [kept(1, number=6), kept(2, number=7)])
    assert (change.lost, change.at, offsets(change.ready)) == ("epoch", LogPosition(F, 1), [2])
    assert recover(timeline, 0, epoch=F).reason == "epoch"
    assert recover(timeline, 1, epoch=F).recovered is True


def test_what_was_held_of_an_epoch_that_is_over_is_handed_on_before_the_next() -> None:
    timeline = loaded(5)
    timeline.take(E, kept(7))
    timeline.take(F, None)
    load(timeline, E, 5)
    change = load(timeline, F, 1, [kept(1, number=9)])
    assert ([offsets(run) for run in change.before], [each.number for each in change.ready]) == ([[7]], [9])
    assert change.at == LogPosition(F, 0)


def test_what_was_held_of_epochs_that_are_over_is_handed_on_in_runs_between_which_something_may_be_missing() -> None:
    timeline = loaded(5)
    for offset in (8, 7, 10):
        timeline.take(E, kept(offset))
    for offset in (11, 12):
        timeline.take(F, kept(offset))
    load(timeline, E, 5)
    change = load(timeline, G, 1, [kept(1, number=20)])
    assert [offsets(run) for run in change.before] == [[7, 8], [10], [11, 12]]
    assert (change.lost, change.at, offsets(change.ready)) == ("epoch", LogPosition(G, 0), [1])


# Void.


def test_what_is_read_once_an_epoch_is_known_to_have_begun_ends_the_void() -> None:
    timeline = loaded(5)
    timeline.void()
    assert timeline.renew() == Change(needs=5)
    timeline.begin_read()
    assert load(timeline, F, 1, [kept(1, number=9)]).needs is None
    assert timeline.position == LogPosition(F, 1)

    timeline.void()  # as by a notice that is late: the epoch has begun since then
    assert timeline.renew().needs == 1
    timeline.begin_read()
    assert load(timeline, F, 1) == Change(lost="epoch", at=LogPosition(F, 1))
    assert recover(timeline, 1, epoch=F).recovered is True
    assert timeline.renew() == NO_CHANGE


def test_a_read_that_began_before_that_does_not_end_the_void() -> None:
    timeline = loaded(5)
    timeline.void()
    timeline.expect_load(5)
    timeline.begin_read()
    assert timeline.renew() == NO_CHANGE
    assert load(timeline, E, 5).needs == 5
    assert timeline.position is None
    timeline.begin_read()
    timeline.void()  # again: that epoch is too old for this
    assert load(timeline, E, 5) == NO_CHANGE
    assert timeline.position is None


def test_no_position_of_a_void_timeline_is_recovered() -> None:
    timeline = loaded(5)
    timeline.void()
    assert timeline.position is None
    assert recover(timeline, 5) == (False, "unavailable", None, ())
    assert offsets(recover(timeline, None, rewind=2).messages) == [4, 5]
    assert offsets(timeline.take(E, kept(6)).ready) == [6]


def test_a_void_timeline_is_good_again_with_an_epoch_that_begins_after_it() -> None:
    timeline = loaded(5)
    timeline.void()
    timeline.take(F, None)
    change = load(timeline, F, 0)
    assert (change.lost, change.at) == ("epoch", LogPosition(F, 0))
    assert timeline.position == LogPosition(F, 0)


def test_the_beginning_of_the_epoch_may_come_after_it_was_read() -> None:
    timeline = loaded(5)
    timeline.void()
    timeline.expect_load(0)
    change = load(timeline, F, 1, [kept(1, number=9)])
    assert (change.lost, change.at) == ("epoch", None)
    assert timeline.position is None
    change = timeline.take(F, None)
    assert (change.lost, change.at) == ("epoch", LogPosition(F, 1))
    assert timeline.position == LogPosition(F, 1)


def test_an_epoch_that_may_be_older_than_what_made_the_timeline_void_is_void_too() -> None:
    timeline = loaded(5)
    timeline.take(F, None)
    timeline.void()
    assert load(timeline, F, 0).at is None
    assert timeline.position is None
    timeline.take(G, None)
    assert load(timeline, G, 0).at == LogPosition(G, 0)


def test_the_beginning_of_an_epoch_that_was_in_use_already_changes_nothing() -> None:
    timeline = loaded(5)
    timeline.expect_load(0)
    load(timeline, F, 0)
    timeline.void()
    assert timeline.take(F, None) == NO_CHANGE
    assert timeline.position is None


def void_with_a_position_of_its_members() -> Timeline:
    """Return a timeline that is void again, right after its members were told a position."""
    timeline = loaded(5)
    timeline.void()
    timeline.take(F, None)
    assert load(timeline, F, 0).at == LogPosition(F, 0)
    timeline.void()  # as by a notice of another node
    return timeline


def test_members_with_a_position_are_told_of_what_is_not_handed_on_again_although_the_timeline_is_void() -> None:
    timeline = void_with_a_position_of_its_members()
    timeline.take_unplaced(BOB, 1)
    assert timeline.take(F, kept(1, origin=BOB)) == Change(needs=1)
    change = timeline.take(F, kept(2, origin=BOB))
    assert (change.lost, change.at, offsets(change.ready)) == ("epoch", None, [2])
    timeline.take_unplaced(BOB, 3)
    assert timeline.take(F, kept(3, origin=BOB)) == NO_CHANGE  # they have no position any more
    assert offsets(timeline.take(F, kept(4, origin=BOB)).ready) == [4]
    load(timeline, F, 4)
    timeline.take(G, None)
    assert load(timeline, G, 0).at == LogPosition(G, 0)
    timeline.void()
    timeline.take_unplaced(BOB, 5)
    assert timeline.take(G, kept(1, origin=BOB, number=5)) == Change(needs=1)  # now they have one again


def test_members_with_a_position_are_told_when_the_log_of_a_void_timeline_was_read() -> None:
    timeline = void_with_a_position_of_its_members()
    timeline.take_unplaced(BOB, 1)
    timeline.take(F, kept(1, origin=BOB))
    assert load(timeline, F, 1) == Change(lost="epoch")


def test_nothing_follows_what_is_not_handed_on_again_once_a_read_ends_the_void() -> None:
    timeline = loaded(5)
    timeline.void()
    timeline.expect_load(0)
    assert load(timeline, F, 0).at is None
    timeline.take_unplaced(BOB, 2)
    timeline.take(F, kept(3, origin=BOB))
    timeline.renew()
    timeline.begin_read()
    change = load(timeline, F, 3, [kept(offset, origin=BOB) for offset in (1, 2, 3)])
    assert (change.lost, change.at, offsets(change.ready), change.needs) == ("epoch", LogPosition(F, 0), [1], 2)
    change = load(timeline, F, 3, [kept(3, origin=BOB)])
    assert (change.lost, change.at, offsets(change.ready)) == ("epoch", LogPosition(F, 2), [3])


def test_a_timeline_may_be_void_before_its_first_read() -> None:
    timeline = new_timeline()
    timeline.void()
    assert load(timeline, E, 5, numbered(1, 5)) == NO_CHANGE
    assert timeline.position is None
    timeline.take(F, None)
    assert load(timeline, F, 0).at == LogPosition(F, 0)


# What a client gets.


def test_a_client_gets_what_follows_its_position() -> None:
    timeline = loaded(5)
    recovery = recover(timeline, 3)
    assert (recovery.recovered, recovery.reason, recovery.at) == (True, None, LogPosition(E, 3))
    assert offsets(recovery.messages) == [4, 5]
    assert recover(timeline, 3, rewind=5) == recovery
    assert recover(timeline, 0).recovered is True


def test_clients_at_one_position_share_their_messages() -> None:
    timeline = loaded(5)
    shared = recover(timeline, 3).messages
    assert recover(timeline, 3).messages is shared
    for offset in range(6, 50):
        timeline.take(E, kept(offset))
    assert all(offsets(recover(timeline, offset).messages) == [*range(offset + 1, 50)] for offset in range(50))


def test_a_client_without_a_position_gets_the_last_messages_if_it_wants_them() -> None:
    timeline = loaded(5)
    assert recover(timeline, None) == (None, None, LogPosition(E, 5), ())
    recovery = recover(timeline, None, rewind=2)
    assert (recovery.recovered, recovery.at, offsets(recovery.messages)) == (None, LogPosition(E, 3), [4, 5])
    assert offsets(recover(timeline, None, rewind=50).messages) == [1, 2, 3, 4, 5]


def test_a_client_that_is_not_recovered_gets_the_last_messages_too() -> None:
    recovery = recover(loaded(5), 5, epoch=F, rewind=2)
    assert (recovery.recovered, recovery.reason, recovery.at) == (False, "epoch", LogPosition(E, 3))
    assert offsets(recovery.messages) == [4, 5]


def test_a_position_that_does_not_exist_yet_is_not_recovered() -> None:
    assert recover(loaded(5), 6).reason == "ahead"


def test_messages_beyond_the_size_are_trimmed() -> None:
    timeline = loaded(5, size=3)
    assert recover(timeline, 1).reason == "trimmed"
    assert offsets(recover(timeline, 2).messages) == [3, 4, 5]
    timeline.resize(4, 300)
    timeline.take(E, kept(6))
    assert offsets(recover(timeline, 2).messages) == [3, 4, 5, 6]
    timeline.resize(1, 300)
    assert recover(timeline, 4).reason == "trimmed"


def test_old_messages_expire_by_the_clock_of_the_log() -> None:
    timeline = new_timeline(ttl=10)
    load(timeline, E, 2, [kept(1, time=101_000), kept(2, time=105_000)], ahead=100)
    assert recover(timeline, 0, now=11).recovered is True
    assert recover(timeline, 0, now=11.1).reason == "expired"
    assert offsets(recover(timeline, 1, now=15).messages) == [2]
    assert recover(timeline, 1, now=15.1).reason == "expired"
    assert recover(timeline, 2, now=15.1).recovered is True


def test_old_messages_are_dropped_when_further_ones_come() -> None:
    timeline = new_timeline(ttl=10)
    load(timeline, E, 1, [kept(1, time=1_000)])
    timeline.take(E, kept(2, time=11_001))
    assert recover(timeline, 0).reason == "expired"
    timeline.resize(100, 1)
    timeline.take(E, kept(3, time=13_000))
    assert offsets(recover(timeline, None, rewind=9).messages) == [3]


def test_too_many_bytes_are_not_recovered() -> None:
    timeline = loaded(5)
    at = LogPosition(E, 2)
    assert timeline.recover(at, rewind=0, now=0, max_bytes=60).recovered is True
    recovery = timeline.recover(at, rewind=4, now=0, max_bytes=59)
    assert (recovery.recovered, recovery.reason, recovery.at) == (False, "too-much", LogPosition(E, 3))
    assert offsets(recovery.messages) == [4, 5]


# Epochs that settle.


def test_positions_of_the_time_when_an_epoch_settled_are_not_recovered() -> None:
    timeline = loaded(5, settled=4)
    assert recover(timeline, 3).reason == "epoch"
    assert recover(timeline, 4).recovered is True


@pytest.mark.parametrize(("time", "recovered"), [(1_002_999, False), (1_003_000, True)])
def test_a_position_is_good_if_its_message_was_kept_after_the_epoch_had_settled(time: int, recovered: bool) -> None:
    timeline = new_timeline()
    load(timeline, E, 5, numbered(1, 5, time=1_000_000), settled=6)
    assert recover(timeline, 5, now=1_000).reason == "epoch"
    timeline.take(E, kept(6, time=time))
    assert recover(timeline, 5, now=1_010).reason == "epoch"
    assert recover(timeline, 6, now=1_010).recovered is recovered


def test_a_later_read_shows_that_an_epoch_has_settled() -> None:
    timeline = loaded(5, settled=6)
    timeline.expect_load(5)
    load(timeline, E, 8, numbered(6, 8), settled=7)
    assert recover(timeline, 6).reason == "epoch"
    assert recover(timeline, 7).recovered is True


# A log that can't be reached.


def test_nobody_is_recovered_while_the_log_may_have_messages_that_are_not_known() -> None:
    timeline = loaded(5)
    timeline.lose_log()
    assert recover(timeline, 3) == (False, "unavailable", LogPosition(E, 5), ())
    assert recover(timeline, None) == (None, None, LogPosition(E, 5), ())
    assert offsets(timeline.take(E, kept(6)).ready) == [6]
    assert recover(timeline, 3).reason == "unavailable"
    timeline.confirm()
    assert offsets(recover(timeline, 3).messages) == [4, 5, 6]


def test_a_read_of_the_log_tells_all_that_it_has() -> None:
    timeline = loaded(5)
    timeline.lose_log()
    timeline.expect_load(5)
    assert offsets(load(timeline, E, 6, [kept(6)]).ready) == [6]
    assert recover(timeline, 3).recovered


def test_nobody_is_recovered_while_only_the_end_of_another_epoch_was_read() -> None:
    timeline = loaded(5)
    timeline.lose_log()
    timeline.expect_load(5)
    assert load(timeline, F, 7, numbered(6, 7)).needs == 0
    assert recover(timeline, 3).reason == "unavailable"
    assert load(timeline, F, 7, numbered(1, 7)).lost == "epoch"
    assert recover(timeline, 7, epoch=F).recovered


def test_nobody_is_recovered_after_a_late_answer_of_an_epoch_that_is_over() -> None:
    timeline = loaded(5)
    timeline.expect_load(0)
    assert load(timeline, F, 2, numbered(1, 2)).lost == "epoch"
    timeline.lose_log()
    timeline.expect_load(2)
    assert load(timeline, E, 5) == NO_CHANGE
    assert recover(timeline, 1, epoch=F).reason == "unavailable"
