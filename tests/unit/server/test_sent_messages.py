from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.codecs import JSON
from crosswire.core.messages import answer, event
from crosswire.core.tallies import OTHER
from crosswire.server.sent_messages import event_of

UTF8 = st.characters(exclude_categories=["Cs"])


@given(st.text(UTF8, min_size=1))
def test_the_name_of_an_event_is_found_in_what_was_encoded(name: str) -> None:
    found = event_of(JSON.encode(event(name, {"event": "another"})))
    assert found == (name if JSON.encode(name) == f'"{name}"'.encode() else OTHER)


@pytest.mark.parametrize("text", [b"", b"{}", b'{"event":"', b'{"event":7}', b'{"payload":1,"event":"x"}'])
def test_any_other_message_counts_as_another(text: bytes) -> None:
    assert event_of(text) == OTHER


def test_an_answer_has_no_event() -> None:
    assert event_of(JSON.encode(answer("x", 1))) == OTHER
