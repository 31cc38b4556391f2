from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.positions import LogPosition, parse_position

EPOCHS = st.from_regex(r"[0-9A-Za-z]{8}", fullmatch=True)


@given(epoch=EPOCHS, offset=st.integers(0, 10**18 - 1))
def test_a_position_is_read_as_it_was_written(epoch: str, offset: int) -> None:
    assert parse_position(str(LogPosition(epoch, offset))) == LogPosition(epoch, offset)


@pytest.mark.parametrize(
    "text",
    ["", "k3xQ9a2f", "k3xQ9a2f.", "k3xQ9a2.1", "k3xQ9a2f.01", "k3xQ9a2f.-1", "k3xQ9a2f.1\n", "k3xQ9a2f.1" + "0" * 18],
)
def test_what_is_no_position_is_not_read_as_one(text: str) -> None:
    assert parse_position(text) is None
