"""The commands that run the scripts; what the scripts do is compared with the logs in memory in tests/contract."""

from __future__ import annotations

import hiredis

from crosswire.cluster.log.interface import Append, NewMessage, RoomLog
from crosswire.cluster.redis.log.scripts import ALL, APPEND, MAX_READ, READ, Commands
from crosswire.core.targets import ToRoom

COMMANDS = Commands(b"cw:", b"seed")
COMMANDS.use_run(b"run")


def room(namespace: str = "chat", id: str = "1") -> RoomLog:
    return RoomLog(ToRoom(namespace, id), b"cw:r:4:chat1", 100, 1.5)


def parts(command: bytes) -> list[bytes]:
    reader = hiredis.Reader()
    reader.feed(command)
    found: list[bytes] = reader.gets()
    assert reader.gets() is False
    return found


def test_an_append_is_one_command_with_all_messages() -> None:
    messages = [NewMessage(1, b"one"), NewMessage(258, b"\r\n")]
    append = Append(room(), b"origin-1", 0, messages, False, 0.0, lambda _: None, lambda *_: None)
    keys = [b"cw:m{4:chat1}", b"cw:l{4:chat1}", b"cw:x{4:chat1}"]
    common = [b"EVALSHA", APPEND.name, b"3", *keys, b"cw:r:4:chat1", b"100", b"1500", b"run", b"seed"]
    sent = [b"origin-1" + (1).to_bytes(8, "little") + b"one", b"origin-1" + (258).to_bytes(8, "little") + b"\r\n"]
    assert parts(COMMANDS.append(append)) == [*common, b"origin-1", b"0", b"0", b"0", *sent]
    more = append._replace(previous=7, new_epoch=True, settling=3.0)
    assert parts(COMMANDS.append(more, is_fresh=True)) == [*common, b"origin-1", b"7", b"3000", b"3", *sent]
    with_ids = append._replace(messages=[NewMessage(1, b"one", "ü"), messages[1]])
    assert parts(COMMANDS.append(with_ids)) == [*common, b"origin-1", b"0", b"0", b"4", *sent, "ü".encode(), b""]


def test_a_read_names_direction_offset_and_limits() -> None:
    command = parts(COMMANDS.read(room(), b"-", 12, 5, is_fresh=True))
    assert command[1] == READ.name
    assert command[-5:] == [b"1", b"-", b"12", b"5", b"%d" % MAX_READ]


def test_no_room_has_the_keys_of_another_one() -> None:
    names = ["", "1", "1}", "1%7D", "%", "%25", "}", "}}", "{", "1:1", "ü"]
    rooms = [room(namespace, id) for namespace in names for id in names]
    assert len({COMMANDS.keys(each) for each in rooms}) == len(rooms)
    of_ids = {COMMANDS.keys(each)[2] + id.encode() for each in rooms for id in names}
    assert len(of_ids) == len(rooms) * len(names)


def test_what_is_remembered_of_logs_is_bounded() -> None:
    commands = Commands(b"cw:", b"seed")
    for number in range(10_000):
        commands.read(room(id=str(number)), b"+", 0, 1)
    assert len(commands._common) <= 4096


def test_the_scripts_use_nothing_that_needs_a_newer_redis_or_looks_at_bodies() -> None:
    for script in ALL:
        for word in (b"cjson", b"cmsgpack", b"redis.setresp", b"#!lua", b"KEEPTTL", b"GETEX", b"'NX'", b"FUNCTION"):
            assert word not in script.text
