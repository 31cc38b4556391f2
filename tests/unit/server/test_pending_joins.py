from __future__ import annotations

from crosswire.server.pending_joins import PendingJoin, PendingJoins


def test_joins_are_found_by_room_and_by_connection_until_they_are_over() -> None:
    joins: PendingJoins[str] = PendingJoins()
    made = [
        PendingJoin(*each) for each in (("a", "chat", "1"), ("a", "chat", "1"), ("a", "game", "1"), ("b", "chat", "1"))
    ]
    for join in made:
        joins.add(join)
    assert [*joins.in_room("chat", "1")] == [made[0], made[1], made[3]]
    assert joins.rooms_of("a") == {("chat", "1"), ("game", "1")}
    assert (joins.ids("chat"), joins.ids("cha")) == ({"1"}, set())
    assert joins.remove(made[0])
    assert not joins.remove(made[0])
    assert joins.take("a", "chat", "1")
    assert not joins.take("a", "chat", "1")
    assert [join.is_over for join in made] == [True, True, False, False]
    assert ([*joins.of("a")], [*joins.of("b")], [*joins.of("c")]) == ([made[2]], [made[3]], [])
    assert joins.remove(made[2])
    assert joins.remove(made[3])
    assert (joins.ids("chat"), [*joins.in_room("chat", "1")], [*joins.rooms_of("a")]) == (set(), [], [])
