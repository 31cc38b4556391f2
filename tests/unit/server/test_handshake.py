from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.headers import Headers
from crosswire.server.handshake import Handshake


def handshake(target: str, remote: str = "127.0.0.1") -> Handshake:
    return Handshake(target, Headers([("Host", "example.com")]), remote, "chat")


def test_it_keeps_what_it_is_given() -> None:
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


@given(st.text())
def test_any_target_can_be_read(target: str) -> None:
    made = handshake(target)
    assert made.query.keys() == made.query_all.keys()
    assert "?" not in made.path or "%3F" in target.upper()


def test_the_representation_hides_the_query() -> None:
    assert repr(handshake("/chat?token=secret")) == "<Handshake /chat from 127.0.0.1>"
    assert repr(handshake("/", remote="")) == "<Handshake / from a Unix socket>"
