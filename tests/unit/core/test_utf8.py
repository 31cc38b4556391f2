from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.utf8 import well_formed, well_formed_data

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=())) | st.text("\ud83d\ude00a🎉")


@dataclass
class Said:
    text: str
    blob: bytes = b"\x00"


class Typed(msgspec.Struct, tag=True):
    text: str


@given(ANY_TEXT)
def test_well_formed_text_is_the_same_as_in_javascript(text: str) -> None:
    """Compare with ``String.prototype.toWellFormed``: pairs are characters, halves become U+FFFD."""
    units = text.encode("utf-16-le", "surrogatepass")
    assert well_formed(text) == units.decode("utf-16-le", "replace")
    well_formed(text).encode()
    assert well_formed(well_formed(text)) == well_formed(text)


@given(st.text())
def test_text_that_has_a_utf8_form_is_left_alone(text: str) -> None:
    assert well_formed(text) == text


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.floats(allow_nan=False, allow_infinity=False)
        | ANY_TEXT,
        lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner),
    )
)
def test_repaired_data_is_the_same_in_both_formats(data: Any) -> None:
    expected = json.loads(
        json.dumps(data, ensure_ascii=False).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    )
    for binary in (False, True):
        copy = well_formed_data(data, binary=binary)
        assert msgspec.json.decode(msgspec.json.encode(copy)) == expected
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(copy)) == expected


def test_typed_data_keeps_its_form() -> None:
    when = datetime(2026, 1, 2, tzinfo=UTC)
    data = {"said": Said("\ud83d"), "typed": Typed("\ude00"), "all": ("\ud83d", {"\ude00"}), "when": when, 7: "\ud83d"}
    assert well_formed_data(data, binary=False) == {
        "said": {"text": "\ufffd", "blob": "AA=="},
        "typed": {"type": "Typed", "text": "\ufffd"},
        "all": ["\ufffd", ["\ufffd"]],
        "when": "2026-01-02T00:00:00Z",
        "7": "\ufffd",
    }
    assert well_formed_data({"blob": b"\x00", "half": "\ud83d"}, binary=True) == {"blob": b"\x00", "half": "\ufffd"}


def test_text_that_cannot_be_encoded_is_refused() -> None:
    with pytest.raises(TypeError):
        well_formed_data({"half": "\ud83d", "object": object()}, binary=False)
