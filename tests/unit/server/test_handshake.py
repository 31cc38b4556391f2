from __future__ import annotations

from urllib.parse import parse_qs

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.headers import Headers
from crosswire.server.handshake import Handshake


def handshake(target: str, remote: str = "127.0.0.1") -> Handshake:
    return Handshake(target, Headers([("Host", "example.com")]), remote, "chat")


def test_headers_and_address_are_kept() -> None:
    made = handshake("/")
    assert (made.headers["host"], made.remote, made.subprotocol) == ("example.com", "127.0.0.1", "chat")


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/", "/"),
        ("/chat?a=1", "/chat"),
        ("/gr%C3%B6%C3%9Fer/a%20b?x", "/größer/a b"),
        ("/a%3Fb?c", "/a?b"),
        ("/%FF", "/\ufffd"),
        ("", ""),
    ],
)
def test_the_path_is_decoded_and_has_no_query(target: str, path: str) -> None:
    assert handshake(target).path == path


@pytest.mark.parametrize(
    ("target", "query"),
    [
        ("/", {}),
        ("/?", {}),
        ("/?id=13&name=J%C3%BCrgen+K", {"id": ["13"], "name": ["Jürgen K"]}),
        ("/?id=1&id=2&id=3", {"id": ["1", "2", "3"]}),
        ("/?empty=&bare", {"empty": [""], "bare": [""]}),
        ("/?a=b=c&d=e?f", {"a": ["b=c"], "d": ["e?f"]}),
        ("/?x=%FF&y=%zz", {"x": ["\ufffd"], "y": ["%zz"]}),
    ],
)
def test_the_query_is_decoded(target: str, query: dict[str, list[str]]) -> None:
    assert handshake(target).query_all == query
    assert handshake(target).query == {name: values[-1] for name, values in query.items()}


@given(st.text("ab=&+%;? 2C3ü", max_size=30))
def test_the_query_is_decoded_as_everywhere(query: str) -> None:
    assert handshake(f"/?{query}").query_all == parse_qs(query, keep_blank_values=True)


@pytest.mark.parametrize(
    ("target", "understands"),
    [
        ("/", 0),
        ("/?id=1", 0),
        ("/?_cw=1", 1),
        ("/?_cw=2&id=1", 2),
        ("/?id=1&_cw=0&_cw=7", 7),
        ("/_cw=1", 0),
        ("/?id=_cw=1", 0),
        ("/?x_cw=1", 0),
        *((f"/?_cw={value}", 0) for value in ["", "x", "-1", "1.5", "%B2", "1" * 5000]),
    ],
)
def test_the_level_of_the_protocol_is_read_and_left_out_of_the_query(target: str, understands: int) -> None:
    assert handshake(target).understands == understands
    assert "_cw" not in handshake(target).query
    assert "_cw" not in handshake(target).query_all


@given(st.text())
def test_any_target_can_be_read(target: str) -> None:
    made = handshake(target)
    assert made.query.keys() == made.query_all.keys()
    assert made.understands >= 0
    assert "?" not in made.path or "%3F" in target.upper()


def test_the_representation_hides_the_query() -> None:
    assert repr(handshake("/chat?token=secret")) == "<Handshake /chat from 127.0.0.1>"
    assert repr(handshake("/", remote="")) == "<Handshake / from a Unix socket>"
    assert handshake("/chat?token=secret").__rich_repr__() == [("path", "/chat"), ("remote", "127.0.0.1")]


@pytest.mark.parametrize(
    ("target", "kept", "positions"),
    [
        ("/?_cw=2&_cw_at=k3xQ9a2f.12&id=1", "/?_cw=2&id=1", "k3xQ9a2f.12"),
        ("/chat?_cw_at=k3xQ9a2f.12%2Cb3xQ9a2f.3", "/chat", "k3xQ9a2f.12%2Cb3xQ9a2f.3"),
        ("/?_cw_at=first&_cw_at=last", "/", "last"),
        ("/?_cw_at=", "/", ""),
        ("/?my_cw_at=1", "/?my_cw_at=1", ""),
        ("/_cw_at=1", "/_cw_at=1", ""),
        ("/?id=1", "/?id=1", ""),
    ],
)
def test_positions_are_taken_out_of_the_query_once(target: str, kept: str, positions: str) -> None:
    made = handshake(target)
    assert made.query_all == handshake(kept).query_all
    assert made.path == handshake(kept).path
    assert made.take_positions() == positions
    assert made.take_positions() == ""


def test_a_renewed_request_has_no_positions() -> None:
    made = handshake("/?_cw=2&_cw_at=k3xQ9a2f.12&id=1").renewed({"id": "2"})
    assert (made.query, made.take_positions()) == ({"id": "2"}, "")


def test_a_written_out_name_of_the_positions_is_no_parameter_of_the_application() -> None:
    made = handshake("/?%5Fcw_at=k3xQ9a2f.12&id=1")
    assert (made.query, made.take_positions()) == ({"id": "1"}, "")


def test_a_handshake_can_not_be_sent_by_mistake() -> None:
    with pytest.raises(TypeError):
        msgspec.json.encode(handshake("/?token=secret"))


def test_the_parameters_of_the_protocol_are_hidden_however_they_are_written() -> None:
    got = handshake("/?_cw=2&%5Fcw=1&_cw_renew=1&id=13")
    assert (got.query, got.query_all) == ({"id": "13"}, {"id": ["13"]})
