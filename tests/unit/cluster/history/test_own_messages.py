"""Messages of this node until they come back from the logs."""

from __future__ import annotations

import pytest

from crosswire.cluster.history import own_messages
from crosswire.cluster.history.own_messages import OwnMessages
from crosswire.cluster.history.room_queue import Outgoing
from crosswire.core.formats import EncodedMessage

CHANNEL = b"cw:r:4:chat1"


def outgoing(number: int, body: bytes = b"body") -> Outgoing:
    return Outgoing(number, EncodedMessage(b"{}"), None, body, 0.0, 10)


def test_a_message_is_returned_once() -> None:
    own, message = OwnMessages(), outgoing(1)
    own.add(CHANNEL, message)
    assert own.take(CHANNEL, 1, b"body") is message
    assert own.take(CHANNEL, 1, b"body") is None


@pytest.mark.parametrize(
    ("channel", "number", "body"), [(b"other", 1, b"body"), (CHANNEL, 2, b"body"), (CHANNEL, 1, b"")]
)
def test_what_is_not_as_it_was_sent_is_unknown_and_the_message_is_not_forgotten(
    channel: bytes, number: int, body: bytes
) -> None:
    own, message = OwnMessages(), outgoing(1)
    own.add(CHANNEL, message)
    assert own.take(channel, number, body) is None
    assert own.take(CHANNEL, 1, b"body") is message


def test_the_oldest_of_many_messages_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_messages, "MAX_OWN", 3)
    own = OwnMessages()
    for number in range(1, 6):
        own.add(CHANNEL, outgoing(number))
    assert [own.take(CHANNEL, number, b"body") is not None for number in range(1, 6)] == [
        False,
        False,
        True,
        True,
        True,
    ]


def test_the_bytes_that_are_remembered_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_messages, "MAX_OWN_BYTES", 100)
    own = OwnMessages()
    for _ in range(10):  # what was returned does not count any more
        own.add(CHANNEL, outgoing(0, b"x" * 60))
        assert own.take(CHANNEL, 0, b"x" * 60) is not None
    own.add(CHANNEL, outgoing(1, b"x" * 60))
    own.add(CHANNEL, outgoing(2, b"x" * 60))
    assert len(own) == 1
    own.add(CHANNEL, outgoing(3, b"x" * 101))
    assert len(own) == 0
