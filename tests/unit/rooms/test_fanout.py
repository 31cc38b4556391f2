from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosswire.core.event_policies import MessagePolicy
from crosswire.core.formats import JSON_TEXT, AnyOutbox, Encoded, Format, encode, frame_format, message_format
from crosswire.core.messages import event
from crosswire.core.skipped_messages import SkippedMessages
from crosswire.core.targets import Excluded
from crosswire.errors import InvalidPayload
from crosswire.rooms.fanout import MAX_HELD_BYTES, MAX_SEARCHED, SMALL_ROOM, FanOut
from crosswire.rooms.held_messages import Frames
from crosswire.runtime.flusher import Flushable
from tests.support.members import FakeMember

MSGPACK = frame_format(msgpack=True, window_bits=0)
MESSAGES = message_format(msgpack=False)
DEFLATED = frame_format(msgpack=False, window_bits=15)
NEWS = event("news", {"a": 1})
MORE = event("more", {"b": 2})


class FakeTurn:
    """A turn of the loop, which ends when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[Flushable] = []

    def end(self) -> None:
        waiting = self.waiting.copy()
        self.waiting.clear()
        for each in waiting:
            each.flush()


@pytest.fixture
def turn() -> FakeTurn:
    return FakeTurn()


@pytest.fixture
def fanout(turn: FakeTurn) -> FanOut:
    return FanOut(turn.waiting.append)


@pytest.fixture
def room(fanout: FanOut) -> list[FakeMember]:
    members = [FakeMember(str(number)) for number in range(3)]
    for member in members:
        fanout.add_format(member.format)
    return members


def frames_of(fanout: FanOut, message: msgspec.Struct) -> Frames:
    return fanout.frames(encode(message, msgpack=fanout.wants_msgpack))


def outboxes(members: Collection[FakeMember]) -> Mapping[FakeMember, AnyOutbox]:
    return {member: member.outbox for member in members}


def send_alone(fanout: FanOut, member: FakeMember, frame: bytes) -> None:
    """Send something to a single member, as a connected client does."""
    fanout.flush_for(member)
    fanout.sent += 1
    member.push(frame)


def joined(fanout: FanOut, form: Format) -> FakeMember:
    member = FakeMember("other", form)
    fanout.add_format(form)
    return member


def test_one_frame_is_shared_by_all_recipients(fanout: FanOut, room: list[FakeMember]) -> None:
    fanout.push(frames_of(fanout, NEWS), room)
    (frame,) = room[0].pushed
    assert frame == JSON_TEXT.encode(NEWS)
    assert all(member.pushed[0] is frame for member in room)


def test_excluded_members_get_nothing(fanout: FanOut, room: list[FakeMember]) -> None:
    fanout.push(frames_of(fanout, NEWS), room, Excluded(users=("1", "nobody")))
    assert [len(member.pushed) for member in room] == [1, 0, 1]
    fanout.push(frames_of(fanout, NEWS), room, Excluded(sockets=(room[2].id, "1")))
    assert [len(member.pushed) for member in room] == [2, 1, 1]
    fanout.push(frames_of(fanout, NEWS), room, Excluded(("0",), (room[2].id,)))
    assert [len(member.pushed) for member in room] == [2, 2, 1]


@pytest.mark.parametrize("form", [MSGPACK, DEFLATED])
def test_each_member_gets_its_negotiated_format(fanout: FanOut, room: list[FakeMember], form: Format) -> None:
    other = joined(fanout, form)
    fanout.push(frames_of(fanout, NEWS), [*room, other])
    assert room[0].pushed == [JSON_TEXT.encode(NEWS)]
    assert other.pushed == [form.encode(NEWS)]


def test_a_message_is_encoded_for_the_formats_in_use(fanout: FanOut) -> None:
    assert list(frames_of(fanout, NEWS)) == [JSON_TEXT]
    fanout.add_format(MSGPACK)
    fanout.add_format(MSGPACK)
    fanout.remove_format(MSGPACK)
    assert set(frames_of(fanout, NEWS)) == {JSON_TEXT, MSGPACK}
    fanout.remove_format(MSGPACK)
    fanout.add_format(JSON_TEXT)
    fanout.remove_format(JSON_TEXT)
    assert list(frames_of(fanout, NEWS)) == [JSON_TEXT]


@pytest.mark.parametrize("data", [object(), {True: 1}, "\ud800"])
def test_data_without_a_json_form_is_refused_before_anything_is_sent(fanout: FanOut, data: object) -> None:
    fanout.add_format(MSGPACK)
    with pytest.raises(InvalidPayload):
        frames_of(fanout, event("news", data))


def test_held_messages_are_pushed_together_at_the_end_of_the_turn(
    fanout: FanOut, room: list[FakeMember], turn: FakeTurn
) -> None:
    members = outboxes(room)
    fanout.hold(frames_of(fanout, NEWS), members)
    fanout.hold(frames_of(fanout, MORE), members)
    assert room[0].pushed == []
    turn.end()
    for member in room:
        assert member.pushed == [JSON_TEXT.encode(NEWS) + JSON_TEXT.encode(MORE)]
    turn.end()
    assert len(room[0].pushed) == 1


def test_held_messages_are_joined_for_each_format(fanout: FanOut, room: list[FakeMember], turn: FakeTurn) -> None:
    other = joined(fanout, MSGPACK)
    everyone = outboxes([*room, other])
    fanout.hold(frames_of(fanout, NEWS), everyone)
    fanout.hold(frames_of(fanout, MORE), everyone)
    turn.end()
    assert other.pushed == [MSGPACK.encode(NEWS) + MSGPACK.encode(MORE)]
    assert room[0].pushed == [JSON_TEXT.encode(NEWS) + JSON_TEXT.encode(MORE)]


def test_a_connection_without_frames_gets_the_messages_that_were_held(
    fanout: FanOut, room: list[FakeMember], turn: FakeTurn
) -> None:
    other = joined(fanout, MESSAGES)
    everyone = outboxes([*room, other])
    fanout.hold(frames_of(fanout, NEWS), everyone)
    fanout.hold(frames_of(fanout, MORE), everyone)
    turn.end()
    assert other.pushed == [(*MESSAGES.encode(NEWS), *MESSAGES.encode(MORE))]
    assert room[0].pushed == [JSON_TEXT.encode(NEWS) + JSON_TEXT.encode(MORE)]


def test_one_message_is_held_without_a_copy(fanout: FanOut, room: list[FakeMember], turn: FakeTurn) -> None:
    frames = frames_of(fanout, NEWS)
    fanout.hold(frames, outboxes(room))
    turn.end()
    assert room[0].pushed[0] is frames[JSON_TEXT]


def test_order_is_kept_between_rooms(fanout: FanOut, room: list[FakeMember], turn: FakeTurn) -> None:
    members, others = outboxes(room), outboxes(room[:2])
    for held_for, message in ((members, NEWS), (others, MORE), (members, NEWS)):
        fanout.hold(frames_of(fanout, message), held_for)
    turn.end()
    frames = [JSON_TEXT.encode(message) for message in (NEWS, MORE, NEWS)]
    assert [member.pushed for member in room] == [frames, frames, [frames[0], frames[2]]]


def test_messages_to_rooms_without_a_member_in_common_wait_for_the_end_of_the_turn(
    fanout: FanOut, room: list[FakeMember], turn: FakeTurn
) -> None:
    members, others = outboxes(room[:2]), outboxes(room[2:])
    for held_for, message in ((members, NEWS), (others, MORE), (members, MORE)):
        fanout.hold(frames_of(fanout, message), held_for)
    assert [member.pushed for member in room] == [[], [], []]
    turn.end()
    news, more = JSON_TEXT.encode(NEWS), JSON_TEXT.encode(MORE)
    assert [member.pushed for member in room] == [[news + more], [news + more], [more]]
    assert fanout.sent == 5
    turn.end()
    assert fanout.sent == 5


def test_a_third_room_is_compared_with_all_before_it(fanout: FanOut, room: list[FakeMember], turn: FakeTurn) -> None:
    for held_for, message in ((room[:1], NEWS), (room[1:2], NEWS), (room[:1], MORE), (room, NEWS)):
        fanout.hold(frames_of(fanout, message), outboxes(held_for))
    turn.end()
    news, more = JSON_TEXT.encode(NEWS), JSON_TEXT.encode(MORE)
    assert [member.pushed for member in room] == [[news, more, news], [news, news], [news]]


def test_large_rooms_are_not_compared(fanout: FanOut, room: list[FakeMember], turn: FakeTurn) -> None:
    crowd = outboxes([FakeMember(str(number)) for number in range(SMALL_ROOM + 1)])
    members = outboxes(room)
    fanout.hold(frames_of(fanout, NEWS), members)
    fanout.hold(frames_of(fanout, NEWS), crowd)
    assert len(room[0].pushed) == 1
    fanout.hold(frames_of(fanout, NEWS), members)
    assert all(len(member.pushed) == 1 for member in crowd)
    turn.end()
    assert len(room[0].pushed) == 2


def test_exclusive_rooms_wait_side_by_side_however_large_they_are(
    fanout: FanOut, room: list[FakeMember], turn: FakeTurn
) -> None:
    crowd = outboxes([FakeMember(str(number)) for number in range(SMALL_ROOM + 1)])
    for held_for in (outboxes(room), crowd):
        fanout.hold(frames_of(fanout, NEWS), held_for, None, True)
    assert not any(member.pushed for member in [*room, *crowd])
    turn.end()
    assert all(member.pushed == [JSON_TEXT.encode(NEWS)] for member in [*room, *crowd])


def test_a_comparison_that_ends_at_a_large_room_leaves_nothing_for_the_next(
    fanout: FanOut, room: list[FakeMember], turn: FakeTurn
) -> None:
    crowd = outboxes([FakeMember(str(number)) for number in range(SMALL_ROOM + 1)])
    fanout.hold(frames_of(fanout, NEWS), outboxes(room[:1]), None, True)
    fanout.hold(frames_of(fanout, NEWS), crowd, None, True)
    fanout.hold(frames_of(fanout, NEWS), outboxes(room[1:2]))
    assert all(len(member.pushed) == 1 for member in crowd)
    fanout.hold(frames_of(fanout, NEWS), outboxes(room[:1]))
    assert not room[1].pushed, "these two have no member in common"
    turn.end()
    assert [len(member.pushed) for member in room] == [2, 1, 0]


@pytest.mark.parametrize("kinds", [(True, False), (False, True), (True, True, False, True)])
def test_members_are_compared_unless_all_rooms_are_exclusive(
    fanout: FanOut, room: list[FakeMember], turn: FakeTurn, kinds: tuple[bool, ...]
) -> None:
    others = [FakeMember(str(number)) for number in range(len(kinds) - 2)]
    rooms = [[other] for other in others] + [room, room[:1]]
    for held_for, is_exclusive in zip(rooms, kinds, strict=True):
        fanout.hold(frames_of(fanout, event("news", len(held_for))), outboxes(held_for), None, is_exclusive)
    assert len(room[1].pushed) == 1, "the last two rooms have a member in common"
    turn.end()
    assert room[0].pushed == [JSON_TEXT.encode(event("news", number)) for number in (3, 1)]


def test_the_one_who_is_answered_is_looked_for_in_the_last_room_first(fanout: FanOut, turn: FakeTurn) -> None:
    members = [FakeMember(str(number)) for number in range(2 * MAX_SEARCHED)]
    rooms = [outboxes([member]) for member in members]
    for held_for in [*rooms, rooms[0]]:
        fanout.hold(frames_of(fanout, NEWS), held_for)
    fanout.flush_for(members[0])
    assert [len(member.pushed) for member in members] == [2] + [0] * (2 * MAX_SEARCHED - 1)
    turn.end()
    assert [len(member.pushed) for member in members[1:]] == [1] * (2 * MAX_SEARCHED - 1)


def test_what_is_held_for_many_rooms_has_a_limit(fanout: FanOut, room: list[FakeMember]) -> None:
    large = event("news", "x" * 10_000)
    for member in room * 3:
        fanout.hold(frames_of(fanout, large), outboxes([member]))
    assert room[0].pushed


def test_order_is_kept_between_held_and_pushed_messages(fanout: FanOut, room: list[FakeMember], turn: FakeTurn) -> None:
    fanout.hold(frames_of(fanout, NEWS), outboxes(room))
    fanout.push(frames_of(fanout, MORE), room[:1])
    assert room[0].pushed == [JSON_TEXT.encode(NEWS), JSON_TEXT.encode(MORE)]
    turn.end()
    assert [len(member.pushed) for member in room] == [2, 1, 1]


def test_what_is_held_is_pushed_first_to_the_one_who_gets_something_else(
    fanout: FanOut, room: list[FakeMember], turn: FakeTurn
) -> None:
    members, answer = outboxes(room), JSON_TEXT.encode(event("answer", 1))
    news, more = JSON_TEXT.encode(NEWS), JSON_TEXT.encode(MORE)
    fanout.hold(frames_of(fanout, NEWS), members)
    send_alone(fanout, room[1], answer)
    fanout.hold(frames_of(fanout, MORE), members)
    assert [member.pushed for member in room] == [[], [news, answer], []], "the others' still wait"
    turn.end()
    assert [member.pushed for member in room] == [[news + more], [news, answer, more], [news + more]]
    assert fanout.sent == 7


def test_a_member_that_is_left_out_gets_what_comes_before_and_after(
    fanout: FanOut, room: list[FakeMember], turn: FakeTurn
) -> None:
    members, news, more = outboxes(room), JSON_TEXT.encode(NEWS), JSON_TEXT.encode(MORE)
    fanout.hold(frames_of(fanout, NEWS), members)
    fanout.hold_for_others(frames_of(fanout, MORE), members, room[:1], is_exclusive=False)
    assert [member.pushed for member in room] == [[news], [], []], "the others' still wait"
    fanout.hold(frames_of(fanout, NEWS), members)
    turn.end()
    assert [member.pushed for member in room] == [[news, news], *[[news + more + news]] * 2]
    assert fanout.sent == 8


@pytest.mark.parametrize("form", [MSGPACK, MESSAGES])
def test_a_member_of_another_format_is_left_out_too(
    fanout: FanOut, room: list[FakeMember], turn: FakeTurn, form: Format
) -> None:
    room.append(joined(fanout, form))
    members = outboxes(room)
    fanout.hold_for_others(frames_of(fanout, NEWS), members, room[2:], is_exclusive=False)
    turn.end()
    assert [len(member.pushed) for member in room] == [1, 1, 0, 0]
    assert fanout.sent == 2


def test_members_are_left_out_of_messages_too_large_to_be_held_with_others(
    fanout: FanOut, room: list[FakeMember], turn: FakeTurn
) -> None:
    large, members = event("news", "x" * 2 * MAX_HELD_BYTES), outboxes(room)
    for _ in range(2):
        fanout.hold_for_others(frames_of(fanout, large), members, room[:1], is_exclusive=False)
    turn.end()
    assert [len(member.pushed) for member in room] == [0, 2, 2]
    assert fanout.sent == 4


def test_what_is_held_waits_while_someone_outside_of_the_room_gets_something(
    fanout: FanOut, room: list[FakeMember], turn: FakeTurn
) -> None:
    fanout.hold(frames_of(fanout, NEWS), outboxes(room[:2]))
    send_alone(fanout, room[2], b"an answer")
    assert [member.pushed for member in room] == [[], [], [b"an answer"]]
    turn.end()
    assert [len(member.pushed) for member in room] == [1, 1, 1]


def test_all_is_pushed_where_too_many_rooms_would_be_searched_for_a_member(fanout: FanOut) -> None:
    members = [FakeMember(str(number)) for number in range(MAX_SEARCHED + 1)]
    for member in members:
        fanout.hold(frames_of(fanout, NEWS), outboxes([member]))
    fanout.flush_for(members[0])
    assert [len(member.pushed) for member in members] == [1] * (MAX_SEARCHED + 1)


def test_a_member_that_fails_when_it_gets_the_rest_keeps_nothing_from_others(
    fanout: FanOut, room: list[FakeMember], turn: FakeTurn, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_frame: Encoded) -> None:
        raise RuntimeError("out of order")

    members = outboxes(room)
    fanout.hold(frames_of(fanout, NEWS), members)
    fanout.flush_for(room[0])
    room[0].push = fails  # type: ignore[method-assign]
    fanout.hold(frames_of(fanout, MORE), members)
    turn.end()
    assert [len(member.pushed) for member in room] == [1, 1, 1]
    assert "out of order" in caplog.text


def test_who_is_behind_is_offered_ahead_what_need_not_be_sent(
    fanout: FanOut, room: list[FakeMember], turn: FakeTurn
) -> None:
    droppable = SkippedMessages().droppable(MessagePolicy("latest", "news"))
    members, news, more = outboxes(room), JSON_TEXT.encode(NEWS), JSON_TEXT.encode(MORE)
    room[0].behind = True
    fanout.hold(frames_of(fanout, MORE), members)
    fanout.hold(frames_of(fanout, NEWS), members, droppable)
    fanout.flush_for(room[0])
    assert (room[0].pushed, room[0].offered) == ([more], [(news, droppable)])
    fanout.hold(frames_of(fanout, NEWS), members, droppable)
    turn.end()
    assert (room[0].pushed, room[0].offered) == ([more], [(news, droppable)] * 2)
    assert room[1].pushed == [more + news + news]


_EXCLUSIVE = ((4, 5), (6,))
"""Rooms that have no member in common with one another."""
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("room"), st.sampled_from([(0, 1, 2), (0, 1), (2, 3), (3,), (4, 6), *_EXCLUSIVE])),
        st.tuples(st.just("one"), st.integers(0, 6)),
        st.tuples(st.just("others"), st.sampled_from([(0, 1, 2), (2, 3), *_EXCLUSIVE])),
        st.tuples(st.just("turn"), st.none()),
    ),
    max_size=20,
)


@settings(deadline=None, max_examples=50)
@given(_steps)
def test_every_member_gets_all_messages_in_the_order_in_which_they_were_sent(
    steps: list[tuple[str, tuple[int, ...] | int | None]],
) -> None:
    turn = FakeTurn()
    fanout = FanOut(turn.waiting.append)
    members = [FakeMember(str(number)) for number in range(7)]
    rooms: dict[tuple[int, ...], Mapping[FakeMember, AnyOutbox]] = {}
    expected: list[list[bytes]] = [[] for _ in members]
    for number, (kind, to) in enumerate(steps):
        message = event("news", number)
        frame = JSON_TEXT.encode(message)
        if isinstance(to, tuple):
            named = rooms.setdefault(to, outboxes([members[each] for each in to]))
            left_out = to[number % 2 :: 2] if kind == "others" else ()
            if kind == "others":
                excluded = [members[each] for each in left_out]
                fanout.hold_for_others(frames_of(fanout, message), named, excluded, to in _EXCLUSIVE)
            else:
                fanout.hold(frames_of(fanout, message), named, None, to in _EXCLUSIVE)
            for each in set(to).difference(left_out):
                expected[each].append(frame)
        elif isinstance(to, int):
            send_alone(fanout, members[to], frame)
            expected[to].append(frame)
        else:
            turn.end()
    turn.end()
    assert [b"".join(cast(list[bytes], member.pushed)) for member in members] == [b"".join(each) for each in expected]
    assert fanout.sent == sum(map(len, expected))


def test_a_flush_before_the_turn_ends_pushes_once(fanout: FanOut, room: list[FakeMember], turn: FakeTurn) -> None:
    fanout.hold(frames_of(fanout, NEWS), outboxes(room))
    fanout.flush()
    assert room[0].pushed == [JSON_TEXT.encode(NEWS)]
    fanout.hold(frames_of(fanout, MORE), outboxes(room))
    turn.end()
    assert room[0].pushed == [JSON_TEXT.encode(NEWS), JSON_TEXT.encode(MORE)]


def test_held_messages_have_a_limit(fanout: FanOut, room: list[FakeMember]) -> None:
    large, members = event("news", "x" * 10_000), outboxes(room)
    for _ in range(20):
        fanout.hold(frames_of(fanout, large), members)
    pushed = sum(map(len, room[0].pushed))
    assert pushed % len(JSON_TEXT.encode(large)) == 0
    assert pushed >= 12 * 10_000


def test_a_message_is_not_held_without_an_event_loop(turn: FakeTurn, room: list[FakeMember]) -> None:
    refuse = [True]

    def at_end(what: Flushable) -> None:
        if refuse:
            raise RuntimeError(refuse.pop())
        turn.waiting.append(what)

    fanout = FanOut(at_end)
    with pytest.raises(RuntimeError):
        fanout.hold(frames_of(fanout, NEWS), outboxes(room))
    fanout.hold(frames_of(fanout, MORE), outboxes(room))
    turn.end()
    assert [member.pushed for member in room] == [[JSON_TEXT.encode(MORE)]] * 3


def test_a_member_that_fails_keeps_the_message_from_nobody_else(
    turn: FakeTurn, fanout: FanOut, room: list[FakeMember], caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_frame: Encoded) -> None:
        raise RuntimeError("out of order")

    room[1].push = fails  # type: ignore[method-assign]
    fanout.hold(frames_of(fanout, NEWS), outboxes(room))
    turn.end()
    assert [len(member.pushed) for member in room] == [1, 0, 1]
    assert "out of order" in caplog.text


def test_a_message_that_need_not_be_sent_is_offered_to_those_that_are_behind(
    fanout: FanOut, turn: FakeTurn, room: list[FakeMember]
) -> None:
    droppable = SkippedMessages().droppable(MessagePolicy("latest", "news"))
    room[1].behind = True
    news, more = encode(NEWS, msgpack=False), encode(MORE, msgpack=False)
    members = outboxes(room)
    fanout.hold(fanout.frames(more), members)
    fanout.hold(fanout.frames(news), members, droppable)
    fanout.hold(fanout.frames(more), members)
    turn.end()
    first, second = JSON_TEXT.wrap(more), JSON_TEXT.wrap(news)
    assert room[0].pushed == room[2].pushed == [JSON_TEXT.join([first, second, first])]
    assert (room[1].pushed, room[1].offered) == ([first, first], [(second, droppable)])
    fanout.hold(fanout.frames(news), outboxes(room))
    fanout.flush()
    assert room[1].pushed == [first, first, second], "this one has no policy"


def test_a_message_to_some_that_need_not_be_sent_is_offered_to_each(fanout: FanOut, room: list[FakeMember]) -> None:
    droppable = SkippedMessages().droppable(MessagePolicy("volatile", "news"))
    frames = fanout.frames(encode(NEWS, msgpack=False))
    assert fanout.push(frames, room, Excluded((room[0].user,)), droppable) == 2
    assert [member.offered for member in room] == [[], *[[(frames[JSON_TEXT], droppable)]] * 2]
    assert not any(member.pushed for member in room)
