from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crosswire.server.backlog import Backlog


@given(st.lists(st.integers(0, 1000)))
def test_messages_are_handled_in_order_and_their_size_is_known(sizes: list[int]) -> None:
    backlog, handled = Backlog(), list[tuple[int, int]]()
    for number, size in enumerate(sizes):
        before = backlog.size
        backlog.add(size, lambda *given: handled.append(given), number, size)
        assert backlog.size > before + size, "an empty message takes room, too"
    assert len(backlog) == len(sizes)
    while backlog:
        backlog.handle_next()
    assert handled == list(enumerate(sizes))
    assert backlog.size == 0


def test_a_handler_may_add_messages_and_clear_the_backlog() -> None:
    backlog, handled = Backlog(), list[str]()
    backlog.add(1, lambda: backlog.add(1, handled.append, "second"))
    backlog.add(1, handled.append, "first")
    backlog.handle_next()
    backlog.handle_next()
    backlog.handle_next()
    assert (handled, len(backlog), backlog.size) == (["first", "second"], 0, 0)
    backlog.add(5, handled.append, "never")
    backlog.clear()
    assert (len(backlog), backlog.size) == (0, 0)
