from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.client.url import join_params
from crosswire.errors import ConfigError

URLS = [
    "ws://localhost",
    "ws://localhost:9000/",
    "wss://example.org/chat?v=2",
    "ws://[::1]:9000/?a=1&b=%20",
    "ws://localhost/?",
    "ws://localhost?x=1&",
    "ws://user:secret@localhost/",
]


@pytest.mark.parametrize(
    ("url", "joined"),
    [
        ("ws://h", "ws://h/?id=13"),
        ("ws://h/", "ws://h/?id=13"),
        ("ws://h/chat", "ws://h/chat?id=13"),
        ("ws://h/?", "ws://h/?id=13"),
        ("ws://h/?v=%2B&w", "ws://h/?v=%2B&w&id=13"),
        ("ws://h?v=2&", "ws://h/?v=2&id=13"),
        ("ws://h/?next=a?b", "ws://h/?next=a?b&id=13"),
    ],
)
def test_params_are_added_to_an_existing_query(url: str, joined: str) -> None:
    assert join_params(url, {"id": "13"}) == joined


@pytest.mark.parametrize("url", URLS)
def test_without_params_the_url_is_unchanged(url: str) -> None:
    assert join_params(url) == join_params(url, {}) == url


@given(st.sampled_from(URLS), st.dictionaries(st.text(min_size=1), st.text() | st.lists(st.text()), max_size=5))
def test_the_server_reads_the_params_after_the_existing_query(url: str, params: dict[str, str | list[str]]) -> None:
    joined = join_params(url, params)
    given_pairs = [(k, each) for k, v in params.items() for each in ([v] if isinstance(v, str) else v)]
    parts = urlsplit(joined)
    there = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    assert parse_qsl(parts.query, keep_blank_values=True) == there + given_pairs
    assert (parts.scheme, parts.netloc, parts.fragment) == (*urlsplit(url)[:2], "")


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("http://localhost", "write ws://"),
        ("https://localhost", "write wss://"),
        ("HTTPS://localhost", "write wss://"),
        ("ws://h:0/", "port 0"),
        ("localhost:9000", "ws://"),
        ("", "ws://"),
        ("ws://", "no host"),
        ("ws:///path", "no host"),
        ("ws://h/#top", "fragment"),
        ("ws://h/#", "fragment"),
        ("ws://h:99999/", "can't be read"),
        ("ws://h:port/", "can't be read"),
        ("ws://[::1/", "can't be read"),
        ("ws://h/a b", "space"),
        ("ws://h/\r\nEvil: 1", "control character"),
        ("ws://user@h/", "password"),
        ("ws://h/\ud800", "UTF-8"),
        (b"ws://h/", "string"),
        (None, "string"),
    ],
)
def test_a_url_that_cannot_work_is_refused(url: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        join_params(url)


@pytest.mark.parametrize("params", [{"id": None}, {13: "id"}, {"": "x"}, {"id": ["1", None]}, {"id": b"1"}])
def test_only_strings_and_numbers_are_params(params: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="string"):
        join_params("ws://h", params)


def test_numbers_are_written_in_decimal_and_bools_as_in_json() -> None:
    assert join_params("ws://h/", {"id": 13, "ratio": 0.5, "flag": True, "pages": [1, 2]}) == (
        "ws://h/?id=13&ratio=0.5&flag=true&pages=1&pages=2"
    )
