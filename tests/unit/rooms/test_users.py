from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from crosswire.core.targets import Excluded
from crosswire.rooms.users import UserIndex
from tests.support.members import FakeMember

users = st.sampled_from(["1", "2", "toString", "__class__"])


class UserIndexMachine(RuleBasedStateMachine):
    """A presence, and the list of connections it should equal."""

    here = Bundle[FakeMember]("here")
    gone = Bundle[FakeMember]("gone")

    def __init__(self) -> None:
        super().__init__()
        self.presence: UserIndex[FakeMember] = UserIndex()
        self.model: list[FakeMember] = []

    @rule(target=here, user=users)
    def add(self, user: str) -> FakeMember:
        member = FakeMember(user)
        self.presence.add(member)
        self.model.append(member)
        return member

    @rule(target=gone, member=consumes(here))
    def remove(self, member: FakeMember) -> FakeMember:
        assert self.presence.remove(member) is True
        self.model.remove(member)
        return member

    @rule(member=gone)
    def remove_again(self, member: FakeMember) -> None:
        assert self.presence.remove(member) is False

    @rule(user=users)
    def remove_a_stranger(self, user: str) -> None:
        assert self.presence.remove(FakeMember(user)) is False

    @invariant()
    def equals_the_model(self) -> None:
        assert set(self.presence.members) == set(self.model)
        assert len(self.presence.members) == len(self.model)
        assert set(self.presence.users) == {member.user for member in self.model}

    @invariant()
    def a_users_connections_are_in_order(self) -> None:
        for user in ("1", "2", "toString", "__class__", "nobody"):
            assert self.presence.of(user) == tuple(member for member in self.model if member.user == user)


TestUserIndex: Any = UserIndexMachine.TestCase
TestUserIndex.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_connections_that_are_excluded_are_found_among_members() -> None:
    index: UserIndex[FakeMember] = UserIndex()
    members = [FakeMember(user) for user in ("1", "1", "2", "3", "4")]
    for number, member in enumerate(members):
        member.id = f"socket {number}"
        index.add(member)
    room = {member: member.outbox for member in members[:4]}

    def excluded(**given: tuple[str, ...]) -> list[FakeMember]:
        return list(index.excluded(Excluded(**given), room))

    assert excluded(users=("1", "nobody", "4")) == members[:2]
    assert excluded(sockets=("socket 1",), owners=("1",)) == [members[1]]
    assert excluded(sockets=("socket 4",), owners=("4",)) == []
    assert excluded(sockets=("socket 2",), owners=("the name before",)) == [members[2]]
    assert excluded(sockets=("socket 2",)) == [members[2]]
    assert excluded(sockets=("of another server",), owners=("1",)) == []
    assert excluded(users=("1",), sockets=("socket 0", "socket 3"), owners=("1", "3")) == [*members[:2], members[3]]
