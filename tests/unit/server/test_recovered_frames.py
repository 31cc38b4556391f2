from __future__ import annotations

import pytest

from crosswire.core.formats import JSON_TEXT, Format, encode, frame_format, message_format
from crosswire.core.messages import event
from crosswire.core.targets import Excluded
from crosswire.core.timeline import Kept
from crosswire.server.recovered_frames import RecoveredFrames
from crosswire.transport.message_outbox import held_size

FORMATS: list[Format] = [
    JSON_TEXT,
    frame_format(msgpack=True, window_bits=0),
    frame_format(msgpack=False, window_bits=15),
    message_format(msgpack=False),
    message_format(msgpack=True),
]


def kept(offset: int, text: str = "hello", excluded: Excluded | None = None) -> Kept:
    return Kept(offset, 0, b"sender-1", offset, encode(event("said", text), msgpack=False), excluded)


@pytest.mark.parametrize("form", FORMATS)
def test_a_slice_is_what_the_messages_are_one_by_one(form: Format) -> None:
    messages = [kept(1), kept(2, "x" * 500), kept(3, "ü")]
    found = RecoveredFrames(replaces=True).slice("k3xQ9a2f", messages, form, "13", "socket")
    assert found.frames == form.join([form.wrap(each.message) for each in messages])
    assert found.number == 3
    sizes = found.frames if isinstance(found.frames, tuple) else ()
    assert found.size == (sum(map(held_size, sizes)) or len(found.frames or b""))


def test_it_is_made_once_for_all_who_come_back_to_the_same_position() -> None:
    frames, messages = RecoveredFrames(replaces=True), [kept(1), kept(2)]
    first = frames.slice("k3xQ9a2f", messages, JSON_TEXT, "1", "a")
    assert frames.slice("k3xQ9a2f", list(messages), JSON_TEXT, "2", "b") is first
    assert frames.slice("k3xQ9a2f", messages[:1], JSON_TEXT, "2", "b") is not first
    assert frames.slice("other111", messages, JSON_TEXT, "2", "b") is not first
    assert frames.slice("k3xQ9a2f", messages, FORMATS[1], "2", "b").frames != first.frames
    assert frames.slice(None, messages, JSON_TEXT, "2", "b") is not first


def test_excluded_users_and_sockets_have_their_own() -> None:
    frames = RecoveredFrames(replaces=True)
    messages = [kept(1), kept(2, excluded=Excluded(("1",), ("b",))), kept(3, excluded=Excluded(("1",)))]
    for user, socket, number in (("1", "a", 1), ("2", "b", 2), ("2", "c", 3)):
        found = frames.slice("k3xQ9a2f", messages, JSON_TEXT, user, socket)
        assert found.number == number
    alone = frames.slice("k3xQ9a2f", messages[1:], JSON_TEXT, "1", "a")
    assert (alone.frames, alone.size, alone.number) == (None, 0, 0)


def test_who_replaces_an_excluded_connection_is_excluded_where_a_user_has_one() -> None:
    messages = [kept(1), kept(2, excluded=Excluded((), ("gone",), ("1",)))]
    for replaces, user, number in ((True, "1", 1), (True, "2", 2), (False, "1", 2)):
        found = RecoveredFrames(replaces=replaces).slice("k3xQ9a2f", messages, JSON_TEXT, user, "a")
        assert found.number == number


def test_no_messages_are_no_frames() -> None:
    assert RecoveredFrames(replaces=True).slice("k3xQ9a2f", [], JSON_TEXT, "1", "a").frames is None


def test_what_is_kept_is_bounded_and_what_was_used_last_stays() -> None:
    frames = RecoveredFrames(replaces=False, limit=2500)
    slices = {number: [kept(number, "x" * 1000)] for number in range(1, 4)}
    one = frames.slice("k3xQ9a2f", slices[1], JSON_TEXT, "1", "a")
    two = frames.slice("k3xQ9a2f", slices[2], JSON_TEXT, "1", "a")
    assert frames.slice("k3xQ9a2f", slices[1], JSON_TEXT, "1", "a") is one
    frames.slice("k3xQ9a2f", slices[3], JSON_TEXT, "1", "a")
    assert frames.size <= 2500
    assert frames.slice("k3xQ9a2f", slices[1], JSON_TEXT, "1", "a") is one
    assert frames.slice("k3xQ9a2f", slices[2], JSON_TEXT, "1", "a") is not two
    frames.slice("k3xQ9a2f", [kept(9, "x" * 5000)], JSON_TEXT, "1", "a")
    assert frames.size == 0
