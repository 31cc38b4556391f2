from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.headers import Headers

names = st.text("aAbB-é", max_size=4)
values = st.text(st.characters(exclude_characters="\0\n"), max_size=8)
fields = st.lists(st.tuples(names, values), max_size=8)


def modelled(given_fields: list[tuple[str, str]]) -> dict[str, list[str]]:
    model: dict[str, list[str]] = defaultdict(list)
    for name, value in given_fields:
        model[name.lower()].append(value)
    return dict(model)


@given(fields)
def test_fields_are_found_as_in_a_dict_of_lists(given_fields: list[tuple[str, str]]) -> None:
    headers, model = Headers(given_fields), modelled(given_fields)
    assert list(headers) == list(model)
    assert len(headers) == len(model)
    assert dict(headers) == {name: ", ".join(found) for name, found in model.items()}
    assert {name: headers.get(name) for name in model} == dict(headers)
    assert {name: headers.get_all(name) for name in model} == model


@given(fields, names)
def test_a_name_is_there_or_not_in_any_case(given_fields: list[tuple[str, str]], name: str) -> None:
    headers, model = Headers(given_fields), modelled(given_fields)
    for spelt in (name, name.upper(), name.lower()):
        assert (spelt in headers) == (spelt.lower() in model)
        assert headers.get_all(spelt) == model.get(spelt.lower(), [])


def test_fields_in_bytes_are_read_character_by_character() -> None:
    headers = Headers.of_bytes([(b"X-One", b"\xe4"), (b"x-one", b"b")])
    assert headers.get_all("x-one") == ["ä", "b"]


def test_a_field_that_is_missing_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="Origin"):
        Headers([("host", "a")])["Origin"]
    assert Headers().get("origin", "none") == "none"


def test_a_part_of_a_name_or_a_value_is_no_field() -> None:
    headers = Headers([("x-host", "host: a"), ("hostname", "b")])
    assert "host" not in headers
    assert headers.get_all("a") == []


@pytest.mark.parametrize("value", ["Upgrade", "keep-alive, Upgrade", "keep-alive,UPGRADE", " upgrade "])
def test_a_token_is_found_in_a_list_in_any_case(value: str) -> None:
    assert Headers([("Connection", value)]).has_token("connection", "upgrade")


@pytest.mark.parametrize("value", ["", "keep-alive", "upgraded", "up grade", "upgrade;q=1"])
def test_a_part_of_a_token_is_not_found(value: str) -> None:
    assert not Headers([("Connection", value)]).has_token("connection", "upgrade")


def test_a_token_is_found_in_any_field_of_the_name() -> None:
    headers = Headers([("Connection", "keep-alive"), ("Upgrade", "h2c"), ("connection", "Upgrade")])
    assert headers.has_token("Connection", "upgrade")
    assert not headers.has_token("Upgrade", "websocket")


def test_the_representation_tells_names_only() -> None:
    assert repr(Headers([("Cookie", "secret"), ("Authorization", "secret")])) == "Headers(['authorization', 'cookie'])"


def test_fields_are_found_in_a_text_as_it_came() -> None:
    headers = Headers.of_text("\r\nHost: A\r\nX-One: host: B\r\nx-ONE: C\r\n")
    assert dict(headers) == {"host": "A", "x-one": "host: B, C"}
    assert "HOST" in headers
    assert headers.has_token("Host", "a")
    assert headers.get_all("x-one") == ["host: B", "C"]


def test_a_letter_that_takes_two_places_in_lower_case_moves_no_value() -> None:
    headers = Headers([("X", "\u0130\u0130"), ("Y", "after it")])
    assert headers["y"] == "after it"
