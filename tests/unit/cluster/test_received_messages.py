from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import pytest

from crosswire.cluster.received_messages import ReceivedClientMessages
from crosswire.core import envelopes
from crosswire.core.envelopes import Claim, ClientBatch, ClientMessage, Envelope, LogPlace, TextBatch
from crosswire.core.event_policies import MessagePolicy
from crosswire.core.formats import EncodedMessage
from crosswire.core.targets import Excluded, Target, ToRoom, ToUsers
from crosswire.errors import InvalidMessage

USER, ROOM = ToUsers(("1",)), ToRoom("chat", "1")
FIRST, SECOND = ClientMessage(b'{"event":"1"}'), ClientMessage(b'{"event":"2"}')
BAD = ClientMessage(b"no json")


class Reading:
    """The clients of a node, its rooms, and what could not be read."""

    def __init__(self) -> None:
        self.delivered: list[tuple[bytes, Excluded | None]] = []
        self.placed: list[tuple[bytes, LogPlace | None]] = []
        self.together: list[int] = []
        self.wants_msgpack = False
        self.claims: list[Claim] = []
        self.unreadable = 0
        self.received = ReceivedClientMessages(self)
        self.received.clients = self

    def deliver(self, target: Target, message: EncodedMessage, exclude: Excluded | None) -> int:
        if message.json == b'{"event":"fails"}':
            raise OSError("it fails")
        self.delivered.append((message.json, exclude))
        return 1

    def deliver_texts(self, target: Target, texts: Sequence[bytes]) -> None:
        self.delivered.extend((text, None) for text in texts)
        self.together.append(len(texts))

    def claimed(self, user: str, claim: Claim) -> None:
        self.claims.append(claim)

    def record(self, room: ToRoom, message: bytes) -> None: ...

    def unplaced(
        self, room: ToRoom, message: EncodedMessage, excluded: Excluded | None, place: LogPlace | None, /
    ) -> None:
        self.placed.append((message.json, place))

    def read(self, body: bytes) -> Envelope | None:
        try:
            return envelopes.decode(body)
        except InvalidMessage as error:
            self.note_unreadable(error)
            return None

    def note_unreadable(self, why: object) -> None:
        self.unreadable += 1

    def misplaced(self, message: Envelope | None, purpose: str) -> bool:
        self.unreadable += message is not None
        return False

    def take(self, envelope: Envelope, **options: Any) -> bool:
        return self.received.take(USER, envelopes.encode(envelope), **options)


def test_the_messages_of_a_batch_are_delivered_in_their_order() -> None:
    reading = Reading()
    assert reading.take(ClientBatch([FIRST, SECOND]))
    assert reading.take(FIRST)
    assert reading.take(TextBatch([SECOND.json, FIRST.json]))
    assert [text for text, _ in reading.delivered] == [FIRST.json, SECOND.json, FIRST.json, SECOND.json, FIRST.json]


def test_a_batch_for_everybody_is_delivered_at_once_though_clients_of_other_nodes_want_messagepack() -> None:
    reading = Reading()
    packed = [ClientMessage(each.json, msgpack=b"\x81\xa5event\xa11") for each in (FIRST, SECOND)]
    assert reading.take(ClientBatch(packed))
    assert reading.together == [2]
    reading.wants_msgpack = True  # their form would be lost
    assert reading.take(ClientBatch(packed))
    reading.wants_msgpack = False
    assert reading.take(ClientBatch([FIRST, ClientMessage(SECOND.json, policy=MessagePolicy("volatile", "2"))]))
    assert reading.together == [2]
    assert [text for text, _ in reading.delivered] == [FIRST.json, SECOND.json] * 3


def test_each_message_of_a_batch_has_its_own_exclusions() -> None:
    reading = Reading()
    assert reading.take(ClientBatch([FIRST, ClientMessage(SECOND.json, ("3",)), ClientMessage(b'{"event":"3"}')]))
    assert reading.delivered == [(FIRST.json, None), (SECOND.json, Excluded(("3",))), (b'{"event":"3"}', None)]


@pytest.mark.parametrize(
    "envelope",
    [
        BAD,
        ClientBatch([FIRST, BAD]),
        ClientBatch([BAD, FIRST]),
        TextBatch([FIRST.json, BAD.json]),
        TextBatch([b'{"event":"$ready"}']),
        TextBatch([b'{"event":"\xff"}', FIRST.json]),
    ],
)
def test_nothing_of_what_can_not_be_read_is_delivered(envelope: Envelope) -> None:
    reading = Reading()
    assert not reading.take(envelope)
    assert not reading.received.take_for_kept_room(ROOM, reading, envelopes.encode(envelope))
    assert (reading.delivered, reading.placed, reading.unreadable) == ([], [], 2)


def test_what_is_only_checked_is_not_delivered() -> None:
    reading = Reading()
    for envelope in (FIRST, ClientBatch([FIRST]), TextBatch([FIRST.json]), Claim("0" * 16, 1)):
        assert reading.take(envelope, only_check=True)
    body = envelopes.encode(ClientBatch([FIRST]))
    assert reading.received.take_for_kept_room(ROOM, reading, body, only_check=True)
    assert (reading.delivered, reading.claims, reading.placed) == ([], [], [])


def test_a_delivery_that_fails_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    reading = Reading()
    fails, last = ClientMessage(b'{"event":"fails"}', ("3",)), ClientMessage(SECOND.json, ("3",))
    assert reading.take(ClientBatch([FIRST, fails, last]))
    assert [text for text, _ in reading.delivered] == [FIRST.json, SECOND.json]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_copies_for_a_room_that_keeps_history_keep_their_places() -> None:
    reading, place = Reading(), LogPlace(b"12345678", 7)
    batch = ClientBatch([ClientMessage(FIRST.json, place=place), SECOND])
    assert reading.received.take_for_kept_room(ROOM, reading, envelopes.encode(batch))
    assert reading.placed == [(FIRST.json, place), (SECOND.json, None)]


def test_claims_are_handed_on_only_where_a_user_is() -> None:
    reading, claim = Reading(), Claim("0" * 16, 1)
    assert reading.take(claim)
    assert not reading.received.take(ROOM, envelopes.encode(claim))
    assert (reading.claims, reading.unreadable) == ([claim], 1)
