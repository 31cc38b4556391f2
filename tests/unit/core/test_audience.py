from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest

from crosswire.core.audience import MAX_USERS, Audience, Audiences, Room, RoomDispatcher, require_close_code
from crosswire.core.event_policies import EventPolicy
from crosswire.core.names import MAX_KEPT_NAME
from crosswire.core.payload_types import ANY, payload_type
from crosswire.core.targets import Everyone, Excluded, ToRoom, ToUsers
from crosswire.errors import UsageError
from tests.support.members import FakeMember

LOBBY = ToRoom("chat", "lobby")


class Recorder:
    """A dispatcher that notes what it is asked to do, and answers with the name of the verb."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def send(self, *arguments: Any) -> None:
        self.asked.append(("send", *arguments))

    def send_plain(self, *arguments: Any) -> None:
        self.asked.append(("send_plain", *arguments))

    def send_to_user(self, *arguments: Any) -> None:
        self.asked.append(("send_to_user", *arguments))

    def __getattr__(self, verb: str) -> Callable[..., Coroutine[Any, Any, str]]:
        async def ask(*arguments: Any) -> str:
            self.asked.append((verb, *arguments))
            return verb

        return ask


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def everyone(recorder: Recorder) -> Audience:
    return Audience(Everyone(), cast(RoomDispatcher, recorder))


@pytest.fixture
def room(recorder: Recorder) -> Room:
    return Room(LOBBY, cast(RoomDispatcher, recorder))


def test_send_passes_its_arguments_to_the_dispatcher(everyone: Audience, recorder: Recorder) -> None:
    everyone.send("news", {"a": 1}, exclude=iter(("3", FakeMember("4"))), local=True)
    everyone.send("news")
    everyone.send("news", exclude=[])
    assert recorder.asked == [
        ("send", Everyone(), "news", {"a": 1}, Excluded(("3",), ("socket of 4",), ("4",)), True, None),
        ("send_plain", Everyone(), "news", None),
        ("send", Everyone(), "news", None, None, False, None),
    ]


def test_what_is_sent_to_a_user_without_options_goes_the_short_way(recorder: Recorder) -> None:
    user, target = Audiences(cast(RoomDispatcher, recorder)).user("3"), ToUsers(("3",), one=True)
    user.send("news", {"a": 1})
    user.send("é", exclude=())
    user.send("news", exclude=["4"])
    user.send("news", local=True)
    user.send("news", policy="latest", key="id")
    assert recorder.asked == [
        ("send_to_user", target, "news", {"a": 1}),
        ("send_to_user", target, "é", None),
        ("send", target, "news", None, Excluded(("4",)), False, None),
        ("send", target, "news", None, None, True, None),
        ("send", target, "news", None, None, False, EventPolicy("latest", "id")),
    ]


@pytest.mark.parametrize("user", ["", 3, None, ["3"], {"3": 1}, "\ud800"])
def test_a_user_is_checked_at_once_however_often(recorder: Recorder, user: Any) -> None:
    audiences = Audiences(cast(RoomDispatcher, recorder))
    for _ in range(2):
        with pytest.raises(UsageError, match="a user id"):
            audiences.user(user)


def test_only_so_many_audiences_and_none_with_a_long_name_are_kept(recorder: Recorder) -> None:
    audiences = Audiences(cast(RoomDispatcher, recorder))
    for number in range(MAX_USERS + 2):
        audiences.user(f"{number}")
    long = "x" * (MAX_KEPT_NAME + 1)
    assert audiences.user(long).target == ToUsers((long,), one=True)
    assert audiences.known.keys() == {f"{MAX_USERS}", f"{MAX_USERS + 1}"}


async def test_other_methods_return_the_dispatchers_answer(room: Room, recorder: Recorder) -> None:
    assert [
        await room.gather("ask", 1, timeout=2, type=int),
        await room.gather("ask"),
        await room.close(4000, "bye"),
        await room.close(),
        await room.count(),
        await room.members(),
        await room.add("3"),
        await room.remove("3"),
        await room.clear(),
        await room.locate(),
        await room.locate(prefix="g", limit=5),
    ] == ["gather", "gather", "close", "close", "count", "members", "add", "remove", "clear", "locate", "locate"]
    assert recorder.asked == [
        ("gather", LOBBY, "ask", 1, 2, payload_type(int)),
        ("gather", LOBBY, "ask", None, 5, ANY),
        ("close", LOBBY, 4000, "bye"),
        ("close", LOBBY, 1000, ""),
        ("count", LOBBY),
        ("members", LOBBY),
        ("add", LOBBY, "3"),
        ("remove", LOBBY, "3"),
        ("clear", LOBBY),
        ("locate", LOBBY, "", 1000),
        ("locate", LOBBY, "g", 5),
    ]


@pytest.mark.parametrize("event", ["", "$x", 5, None])
async def test_an_events_name_is_checked_at_once(everyone: Audience, recorder: Recorder, event: Any) -> None:
    with pytest.raises(UsageError):
        everyone.send(event, local=True)
    with pytest.raises(UsageError):
        await everyone.gather(event)
    assert recorder.asked == []


@pytest.mark.parametrize(
    "exclude", ["3", [3], [""], [None], 3, None, FakeMember("3"), ["3", object()], [["3"]], [b"3"]]
)
def test_the_excluded_members_are_checked_at_once(everyone: Audience, recorder: Recorder, exclude: Any) -> None:
    with pytest.raises(UsageError):
        everyone.send("news", exclude=exclude)
    assert recorder.asked == []


@pytest.mark.parametrize("user", ["", 3, None])
async def test_the_user_to_add_or_remove_is_checked(room: Room, recorder: Recorder, user: Any) -> None:
    with pytest.raises(UsageError, match="a user id"):
        await room.add(user)
    with pytest.raises(UsageError, match="a user id"):
        await room.remove(user)
    assert recorder.asked == []


async def test_timeouts_and_close_codes_are_checked(everyone: Audience, recorder: Recorder) -> None:
    with pytest.raises(UsageError, match="timeout"):
        await everyone.gather("ask", timeout=0)
    with pytest.raises(UsageError, match="close code"):
        await everyone.close(1006)
    assert recorder.asked == []


def test_an_audience_shows_whom_it_is_for(room: Room) -> None:
    assert repr(room) == "<Room ToRoom(namespace='chat', id='lobby')>"
    assert room.target == LOBBY


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1014, 3000, 4999])
def test_a_close_code_that_can_be_sent(code: int) -> None:
    assert require_close_code(code) == code


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, True, "1000", 1000.0, None])
def test_a_close_code_that_cannot_be_sent(code: Any) -> None:
    with pytest.raises(UsageError, match="close code"):
        require_close_code(code)
