from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.channel_names import Channels

channels = Channels("cw:")

# Names made of what could be taken for a border, and any others.
_names = st.one_of(st.text("0123456789:ab", min_size=1, max_size=6), st.text(min_size=1, max_size=6))
_rooms = st.tuples(_names, _names)


@given(_rooms, _rooms)
def test_two_rooms_never_have_the_same_channel(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (channels.room(*one) == channels.room(*other)) == (one == other)


@given(_names, _names)
def test_splitting_a_rooms_name_elsewhere_gives_another_channel(left: str, right: str) -> None:
    name = left + right
    splits = [(name[:at], name[at:]) for at in range(1, len(name))]
    assert len({channels.room(*split) for split in splits}) == len(splits)


@given(_names, _names, _rooms)
def test_no_name_of_one_kind_names_another_kind(one: str, other: str, room: tuple[str, str]) -> None:
    made = [
        channels.everyone,
        channels.nodes,
        channels.room(*room),
        *(kind(name) for name in {one, other} for kind in _KINDS),
    ]
    assert len(set(made)) == len(made)


@given(_names, _rooms)
def test_the_channel_of_a_user_or_a_room_tells_whose_it_is(name: str, room: tuple[str, str]) -> None:
    user_s, room_s = channels.user(name).decode(), channels.room(*room).decode()
    assert (channels.user_of(user_s), channels.room_of(user_s)) == (name, None)
    assert (channels.user_of(room_s), channels.room_of(room_s)) == (None, room)
    for other in (channels.everyone, channels.nodes, channels.node(name), channels.custom(name)):
        assert (channels.user_of(other.decode()), channels.room_of(other.decode())) == (None, None)


_KINDS = (channels.node, channels.incarnation, channels.user, channels.custom, channels.probes)


@given(st.text(min_size=1, max_size=6).filter(lambda prefix: not prefix.startswith("cw:")), _names)
def test_all_begin_with_the_prefix(prefix: str, name: str) -> None:
    others = Channels(prefix)
    for made in (others.everyone, others.nodes, others.user(name), others.room(name, name), others.node(name)):
        assert made.startswith(prefix.encode())


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (channels.everyone, b"cw:e"),
        (channels.nodes, b"cw:a"),
        (channels.node("worker"), b"cw:n:worker"),
        (channels.incarnation("00ff"), b"cw:i:00ff"),
        (channels.user("13"), b"cw:u:13"),
        (channels.room("chat", "1000"), b"cw:r:4:chat1000"),
        (channels.room("é", "1"), "cw:r:2:é1".encode()),
        (channels.custom("orders"), b"cw:c:orders"),
        (channels.probes("00ff"), b"cw:p:00ff"),
    ],
)
def test_nodes_of_other_versions_make_the_same_names(made: bytes, expected: bytes) -> None:
    assert made == expected
