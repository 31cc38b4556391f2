from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.replies import AwaitedReplies, GatheredReplies
from crosswire.errors import EventError

events = st.lists(st.tuples(st.sampled_from(["reply", "lose"]), st.sampled_from("abcde")), max_size=12)


@given(st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2)), events)
def test_each_name_counts_once_and_has_replied_is_lost_or_is_waited_for(
    ways: dict[str, int], events: list[tuple[str, str]]
) -> None:
    awaited = AwaitedReplies(ways)
    left = dict(ways)
    replied: set[str] = set()
    lost = [name for name, count in ways.items() if not count]
    for kind, name in events:
        waiting = set(ways) - replied - set(lost)
        if kind == "reply":
            assert awaited.replied(name) == (name in waiting)
            replied |= {name} & waiting
        else:
            awaited.lost(name)
            left[name] = left.get(name, 0) - 1
            lost += [name] if name in waiting and not left[name] else []
    assert sorted(awaited.missing) == sorted(set(ways) - replied)
    assert list(awaited.missing[: len(lost)]) == lost
    assert awaited.complete == (replied | set(lost) == set(ways))


@given(st.integers(1, 4), st.lists(st.sampled_from("abcde"), max_size=12))
def test_as_many_replies_as_expected_are_enough_from_any_names(expect: int, names: list[str]) -> None:
    awaited = AwaitedReplies({"a": 1, "b": 1}, expect)
    replied: set[str] = set()
    for name in names:
        assert awaited.replied(name) == (name not in replied)
        replied.add(name)
    assert awaited.complete == (len(replied) >= expect)
    assert set(awaited.missing) == (set() if awaited.complete else set("ab") - replied)


def test_the_first_reply_of_each_name_is_gathered() -> None:
    gathered = GatheredReplies({"a": 2, "b": 1, "c": 1})
    refusal = EventError("full")
    assert not gathered.answered("a", None)
    assert not gathered.answered("a", "again")
    assert not gathered.answered("unknown", 1)
    assert not gathered.refused("b", refusal)
    assert gathered.lost("c")
    replies = gathered.result()
    assert (dict(replies), replies.errors, replies.missing) == ({"a": None}, {"b": refusal}, ("c",))
    assert refusal.sender == "b"
