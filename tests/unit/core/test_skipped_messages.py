from __future__ import annotations

from crosswire.core.event_policies import MessagePolicy
from crosswire.core.skipped_messages import SkippedMessages
from crosswire.core.tallies import MAX_EVENTS, OTHER


def test_messages_are_counted_by_event_and_policy() -> None:
    skipped = SkippedMessages()
    for policy in (MessagePolicy("latest", "price", "1"), MessagePolicy("latest", "price", "2")):
        skipped.droppable(policy).skipped()
    skipped.droppable(MessagePolicy("volatile", "price")).skipped()
    skipped.droppable(MessagePolicy("volatile", "cursor"))
    assert skipped.by_event == {"price": 3}
    values = {sample.labels: sample.value for sample in skipped.family().samples}
    assert values == {("price", "latest"): 2, ("price", "volatile"): 1, ("cursor", "volatile"): 0}


def test_however_many_names_come_over_the_bus_the_table_stays_small() -> None:
    skipped = SkippedMessages()
    for number in range(10 * MAX_EVENTS):
        skipped.droppable(MessagePolicy("volatile", f"event {number}")).skipped()
    skipped.droppable(MessagePolicy("volatile", "x" * 1000)).skipped()
    counts = skipped.by_event
    assert len(counts) == MAX_EVENTS + 1
    assert counts[OTHER] == 9 * MAX_EVENTS + 1


def test_a_long_key_counts_to_the_size_of_each_message() -> None:
    short = SkippedMessages().droppable(MessagePolicy("latest", "price", "1"))
    long = SkippedMessages().droppable(MessagePolicy("latest", "price", "1" * 1001))
    assert long.size - short.size == 1000
