from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.names import require_event, require_name
from crosswire.errors import UsageError

NO_STRINGS: list[Any] = [None, 5, 0, True, b"13", 1.5, ["13"], object()]


@given(st.text(min_size=1))
def test_any_text_but_the_empty_one_is_a_name(name: str) -> None:
    assert require_name(name, "a user id") == name


@pytest.mark.parametrize("value", NO_STRINGS)
def test_other_types_are_refused_and_not_converted(value: Any) -> None:
    with pytest.raises(UsageError, match=f"a user id must be a string, not {type(value).__name__}"):
        require_name(value, "a user id")
    with pytest.raises(UsageError, match="an event's name"):
        require_event(value)


@pytest.mark.parametrize("require", [lambda value: require_name(value, "an event's name"), require_event])
def test_an_empty_name_is_refused(require: Any) -> None:
    with pytest.raises(UsageError, match="an event's name must not be empty"):
        require("")


@pytest.mark.parametrize("name", ["\ud800", "a\udfff", "é\udc00b", "\udc00\ud800"])
def test_half_of_a_surrogate_pair_is_no_text(name: str) -> None:
    with pytest.raises(UsageError, match="a user id must be text that has a UTF-8 form"):
        require_name(name, "a user id")
    with pytest.raises(UsageError, match="an event's name"):
        require_event(name)


@given(st.text(min_size=1).filter(lambda name: not name.startswith("$")))
def test_any_name_can_be_an_event(name: str) -> None:
    assert require_event(name) == name


@pytest.mark.parametrize("name", ["connection", "close", "__proto__", "__class__", "toString", "a$", " $a"])
def test_names_that_mean_something_elsewhere_are_events_like_any_other(name: str) -> None:
    assert require_event(name) == name


@given(st.text())
def test_a_dollar_at_the_start_is_reserved(rest: str) -> None:
    with pytest.raises(UsageError, match="reserved"):
        require_event("$" + rest)
    assert require_name("$" + rest, "a user id") == "$" + rest
