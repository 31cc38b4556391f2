from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.testing.asgi_client import make_scope
from crosswire.transport.asgi_http import make_request, relative_path


@pytest.mark.parametrize(
    ("path", "root", "relative"),
    [
        ("/", "", "/"),
        ("/a/b", "", "/a/b"),
        ("/chat/a", "/chat", "/a"),
        ("/chat/", "/chat", "/"),
        ("/chat", "/chat", "/"),
        ("/chat/a", "/chat/", "/a"),
        ("/chatter/a", "/chat", "/chatter/a"),
        ("/a", "/chat", "/a"),  # as hypercorn does it
        ("", "", "/"),
    ],
)
def test_a_path_is_relative_to_the_mount(path: str, root: str, relative: str) -> None:
    assert relative_path({"path": path, "root_path": root}) == relative


@pytest.mark.parametrize(
    ("path", "raw", "relative"), [("/a/", b"/chat/a", "/a"), ("/a/", b"/chat/a/", "/a/"), ("/", b"/chat", "/")]
)
def test_the_slash_that_litestar_adds_is_taken_away(path: str, raw: bytes, relative: str) -> None:
    assert relative_path({"path": path, "raw_path": raw}) == relative


def test_offered_subprotocols_are_read_where_the_field_is_missing() -> None:
    scope = make_scope("websocket", "/", [], "", subprotocols=["a", "b"])
    assert make_request(scope).headers["sec-websocket-protocol"] == "a, b"
    scope = make_scope("websocket", "/", [("Sec-WebSocket-Protocol", "c")], "", subprotocols=["c"])
    assert make_request(scope).headers["sec-websocket-protocol"] == "c"


def test_a_scope_needs_no_more_than_the_specification_demands() -> None:
    scope: dict[str, Any] = {"type": "websocket", "path": "/a b", "headers": []}
    request = make_request(scope)
    assert (request.target, request.remote, request.secure, request.wants_websocket) == ("/a%20b", "", False, True)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_the_target_is_in_ascii(path: str) -> None:
    request = make_request({"type": "http", "path": f"/{path}", "query_string": b"x=%C3%BC", "headers": []})
    assert request.target.isascii()
    assert request.target.endswith("?x=%C3%BC")
    assert "?" not in request.target[:-9]
