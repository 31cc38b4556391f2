from __future__ import annotations

import math

import pytest

from crosswire.core.revocations import (
    MAX_CLOCK_LEAD,
    MAX_LIFETIME,
    MAX_NAME,
    MAX_REVOCATIONS,
    Revocation,
    RevocationTable,
)
from crosswire.types import Identity

NOW = 1_000_000.0


def of_user(user: str, at: float = NOW, until: float = NOW + 100) -> Revocation:
    return Revocation(user, None, at, until)


def of_token(token_id: str, user: str | None = None) -> Revocation:
    return Revocation(user, token_id, NOW, NOW + 100)


@pytest.mark.parametrize(
    ("revocation", "user", "token_id", "issued_at", "covered"),
    [
        (of_user("ada"), "ada", "t", NOW - 1, True),
        (of_user("ada"), "ada", "t", NOW, True),
        (of_user("ada"), "ada", "t", NOW + 1, False),
        (of_user("ada"), "bob", "t", NOW - 1, False),
        (of_token("t"), "ada", "t", NOW - 1, True),
        (of_token("t"), "bob", "t", NOW + 1, True),
        (of_token("t"), "ada", "u", NOW - 1, False),
        (of_token("t"), "ada", None, NOW - 1, False),
        (of_token("t", "ada"), "ada", "t", NOW - 1, True),
        (of_token("t", "ada"), "bob", "t", NOW - 1, False),
    ],
)
def test_a_revocation_covers_the_tokens_that_it_names(
    revocation: Revocation, user: str, token_id: str | None, issued_at: float, covered: bool
) -> None:
    assert revocation.covers(user, token_id, issued_at) is covered
    table = RevocationTable()
    table.add([revocation], NOW)
    assert table.covers(Identity(user, token_id=token_id, issued_at=issued_at)) is covered


def test_a_user_whose_token_has_no_time_is_closed_and_may_come_back() -> None:
    table = RevocationTable()
    table.add([of_user("ada")], NOW)
    assert of_user("ada").covers("ada", None, None)
    assert not table.covers(Identity("ada"))


def test_a_revocation_is_new_once() -> None:
    table = RevocationTable()
    assert table.add([of_user("ada")], NOW) == [of_user("ada")]
    assert table.add([of_user("ada"), of_user("ada", at=NOW - 5)], NOW) == []
    assert table.add([of_user("ada", at=NOW + 5)], NOW) == [of_user("ada", at=NOW + 5)]
    assert table.all(NOW) == [of_user("ada", at=NOW + 5)]


def test_a_revocation_ends() -> None:
    table = RevocationTable()
    table.add([of_user("ada"), of_user("bob", until=NOW + 200)], NOW)
    assert table.all(NOW + 150) == [of_user("bob", until=NOW + 200)]
    assert len(table) == 1
    assert table.add([of_user("ada")], NOW + 150) == []


def test_what_nobody_should_send_changes_nothing() -> None:
    table = RevocationTable()
    nothing = Revocation(None, None, NOW, NOW + 100)
    assert table.add([nothing, of_user("ada", until=math.nan), of_user("bob", until=-math.inf)], NOW) == []
    [far] = table.add([of_user("eve", at=math.inf, until=math.inf)], NOW)
    assert (far.at, far.until) == (NOW + MAX_CLOCK_LEAD, NOW + MAX_LIFETIME)
    assert not table.covers(Identity("eve", issued_at=NOW + MAX_CLOCK_LEAD + 1))


def test_the_table_is_bounded_and_forgets_what_ends_first() -> None:
    table = RevocationTable()
    table.add([of_user(f"user {number}", until=NOW + 100 + number) for number in range(MAX_REVOCATIONS + 10)], NOW)
    assert len(table) == MAX_REVOCATIONS
    assert table.forgotten == 10
    assert not table.covers(Identity("user 9", issued_at=NOW - 1))
    assert table.covers(Identity("user 10", issued_at=NOW - 1))


def test_a_revocation_without_a_time_does_not_keep_out_later_ones() -> None:
    table = RevocationTable()
    assert table.add([of_user("ada", at=math.nan)], NOW) == []
    assert table.add([of_user("ada")], NOW) == [of_user("ada")]
    assert table.add([of_user("ada", at=math.nan)], NOW) == []
    assert table.covers(Identity("ada", issued_at=NOW - 1))


def test_names_are_bounded() -> None:
    table = RevocationTable()
    long, longest = "a" * (MAX_NAME + 1), "a" * MAX_NAME
    assert (
        table.add([of_user(long), of_token(long), of_token("t", long), of_token(long, "ada"), of_user("")], NOW) == []
    )
    assert len(table.add([of_user(longest), of_token(longest)], NOW)) == 2
