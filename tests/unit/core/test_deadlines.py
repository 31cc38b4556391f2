from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.deadlines import Deadlines

steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from("abcdefgh"), st.sampled_from([0.3, 1.0, 5.0])),
        st.tuples(st.just("remove"), st.sampled_from("abcdefgh"), st.just(0.0)),
        st.tuples(st.just("pass"), st.just(""), st.floats(0, 3)),
    )
)


@given(steps)
def test_each_is_due_once_at_its_time_unless_it_was_removed(steps: list[tuple[str, str, float]]) -> None:
    deadlines, model, now = Deadlines(), dict[str, tuple[float, float]](), 100.0
    for what, key, number in steps:
        if what == "add" and key not in model:
            deadlines.add(key, number, now)
            model[key] = number, now + number
        elif what == "remove" and key in model:
            deadlines.remove(key, model.pop(key)[0])
        elif what == "pass":
            now += number
            due = sorted(key for key, (_, at) in model.items() if at <= now)
            assert sorted(deadlines.take_due(now)) == due
            for key in due:
                del model[key]


def test_what_is_not_there_can_be_removed() -> None:
    deadlines = Deadlines()
    deadlines.remove("a", 1)
    deadlines.add("a", 1, 0)
    deadlines.remove("b", 1)
    assert list(deadlines.take_due(1)) == ["a"]
