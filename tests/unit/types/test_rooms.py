"""Members of rooms."""

from __future__ import annotations

from crosswire.types import Roster


def test_a_roster_is_a_collection_of_its_users() -> None:
    roster = Roster(frozenset({"1", "2"}), ("b",))
    assert set(roster) == {"1", "2"}
    assert len(roster) == 2
    assert "1" in roster
    assert "b" not in roster
    assert not Roster()
