from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.escaping import escaped

anything = st.text(st.characters(exclude_categories=()))  # with halves of surrogate pairs


@given(anything)
def test_any_text_becomes_one_printable_line_that_can_be_encoded(text: str) -> None:
    safe = escaped(text, 1000)
    assert safe.isprintable()
    assert len(safe.splitlines()) <= 1
    safe.encode()


@given(anything, st.integers(0, 50))
def test_a_long_text_is_cut_and_says_so(text: str, limit: int) -> None:
    safe = escaped(text, limit)
    assert len(safe) <= 10 * limit + 40
    assert safe.endswith(" characters more)") or len(text) <= limit


@given(st.text(st.characters(categories=["L", "N", "P", "S"])))
def test_text_of_people_stays_as_it_is(text: str) -> None:
    assert escaped(text, 1000) == text


@pytest.mark.parametrize(
    ("character", "shown"),
    [
        ("\n", r"\n"),
        ("\r", r"\r"),
        ("\x1b", r"\x1b"),
        ("\x7f", r"\x7f"),
        ("\x85", r"\x85"),
        ("\x9b", r"\x9b"),
        ("\u2028", r"\u2028"),
        ("\u2029", r"\u2029"),
        ("\u202e", r"\u202e"),
        ("\u2066", r"\u2066"),
        ("\u200b", r"\u200b"),
        ("\ud800", r"\ud800"),
        ("\U000e0001", r"\U000e0001"),
    ],
)
def test_line_breaks_controls_and_marks_of_direction_are_escaped(character: str, shown: str) -> None:
    assert escaped(f"a{character}b", 10) == f"a{shown}b"
