from __future__ import annotations

import json
from typing import Any, cast

import msgspec
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from crosswire.cluster.clients import NoClients
from crosswire.core.audience import Audiences, RoomDispatcher
from crosswire.core.targets import Everyone, Target, ToRoom, ToUsers
from crosswire.errors import InvalidMessage
from crosswire.server.publish_messages import describe, read_messages

VALID: list[tuple[dict[str, Any], Target]] = [
    ({"everyone": True}, Everyone()),
    ({"user": "13"}, ToUsers(("13",), one=True)),
    ({"users": ["13", "ü"]}, ToUsers(("13", "ü"))),
    ({"users": []}, ToUsers(())),
    ({"room": {"namespace": "chat", "id": "1"}}, ToRoom("chat", "1")),
    ({"room": ["chat", "1"]}, ToRoom("chat", "1")),
]
INVALID: list[tuple[Any, str]] = [
    ({}, "missing required field `event`"),
    ({"event": "a"}, "not 0"),
    ({"event": "a", "user": "1", "everyone": True}, "not 2"),
    ({"event": "a", "everyone": False}, "everyone is true"),
    ({"event": "", "everyone": True}, "$.event"),
    ({"event": "$a", "everyone": True}, "reserved"),
    ({"event": 1, "everyone": True}, "$.event"),
    ({"event": "a", "user": 13}, "$.user"),
    ({"event": "a", "user": ""}, "$.user"),
    ({"event": "a", "user": None}, "$.user"),
    ({"event": "a", "users": "13"}, "$.users"),
    ({"event": "a", "users": [1]}, "$.users[0]"),
    ({"event": "a", "room": "chat"}, "$.room"),
    ({"event": "a", "room": ["chat"]}, "$.room"),
    ({"event": "a", "room": ["chat", "1", "2"]}, "$.room"),
    ({"event": "a", "room": ["chat", ""]}, "$.room"),
    ({"event": "a", "room": {"namespace": "chat"}}, "`id`"),
    ({"event": "a", "room": {"namespace": "", "id": "1"}}, "namespace"),
    ({"event": "a", "everyone": True, "exclude": "1"}, "$.exclude"),
    ({"event": "a", "everyone": True, "exclude": [""]}, "$.exclude[0]"),
    ({"event": "a", "everyone": True, "payload": 1}, "`payload`"),
    ("event", "object"),
    (None, "object"),
]


def read(content: object) -> list[tuple[Target, str, object, list[str]]]:
    messages = read_messages(json.dumps(content).encode(), Audiences(cast(RoomDispatcher, NoClients())))
    return [(each.audience.target, each.event, msgspec.json.decode(each.data), each.exclude) for each in messages]


def fits_description(content: Any) -> bool:
    description = describe(1000)
    operation = description["paths"]["/publish"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    return bool(Draft202012Validator({**schema, "components": description["components"]}).is_valid(content))


@pytest.mark.parametrize(("audience", "target"), VALID)
def test_a_message_names_its_audience(audience: dict[str, Any], target: Target) -> None:
    content = {"event": "news", "data": {"text": "hi"}, **audience}
    assert read(content) == [(target, "news", {"text": "hi"}, [])]
    assert fits_description(content)


def test_large_numbers_stay_what_they_are() -> None:
    assert read({"event": "a", "everyone": True, "data": 2**64})[0][2] == 2**64


def test_data_may_be_left_out_and_users_excluded() -> None:
    content = {"event": "news", "everyone": True, "exclude": ["1", "2"]}
    assert read(content) == [(Everyone(), "news", None, ["1", "2"])]
    assert fits_description(content)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_batch_is_an_object_or_the_list_alone(count: int) -> None:
    batch = [{"event": "a", "data": number, "everyone": True} for number in range(count)]
    expected: list[object] = [(Everyone(), "a", number, []) for number in range(count)]
    assert read(batch) == read({"messages": batch}) == expected
    assert fits_description(batch)
    assert fits_description({"messages": batch})


@pytest.mark.parametrize(("content", "why"), INVALID)
def test_an_invalid_message_is_refused_with_its_place(content: Any, why: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        read(content)
    assert why in caught.value.message
    good = {"event": "a", "everyone": True}
    for batch, place in (([good, content], "$[1]"), ({"messages": [good, content]}, "$.messages[1]")):
        with pytest.raises(InvalidMessage) as caught:
            read(batch)
        assert place in caught.value.message


# A schema can't say which names belong to the protocol.
@pytest.mark.parametrize("content", [each for each, why in INVALID if why != "reserved"])
def test_the_description_refuses_what_is_refused(content: Any) -> None:
    assert not fits_description(content)
    assert not fits_description([content])


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"event=news", b"\xff", b'{"event":"a","user":"\\ud800"}', b"[" * 100_000, b'"' + b"\xc3" + b'"'],
)
def test_a_body_that_is_no_json_is_another_error(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - InvalidMessage is none
        read_messages(body, Audiences(cast(RoomDispatcher, NoClients())))


def test_the_description_is_of_this_endpoint() -> None:
    description = describe(1000)
    assert description["openapi"] == "3.1.0"
    operation = description["paths"]["/publish"]["post"]
    assert "1000 bytes" in operation["description"]
    assert set(operation["responses"]) == {"200", "400", "401", "413", "415", "422", "503"}
    (scheme,) = operation["security"][0]
    assert description["components"]["securitySchemes"][scheme] == {"type": "http", "scheme": "bearer"}
    for part in ("PublishedMessage", "PublishedBatch", "PublishedRoom", "Error"):
        Draft202012Validator.check_schema(description["components"]["schemas"][part])
