"""The same commands against the logs in memory and against a real Redis and Valkey give the same.

Clocks are the model's: the scripts read the time from a key, and keys end when the model's time has passed.
"""

from __future__ import annotations

import copy
import socket
from collections.abc import Iterator, Sequence
from hashlib import sha1
from itertools import count
from typing import Any, ClassVar

import hiredis
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from msgspec.structs import replace

from crosswire.cluster.log.interface import Append, NewMessage, RoomLog, Tail
from crosswire.cluster.log.memory_rooms import MemoryRooms
from crosswire.cluster.redis.commands import command
from crosswire.cluster.redis.log.holder import ANOTHER_RUN, NOT_BEHIND, read_positions
from crosswire.cluster.redis.log.log import read_page
from crosswire.cluster.redis.log.scripts import ALL, Commands
from crosswire.core.log_records import LogRecord, unpack_record
from crosswire.core.positions import LogPosition
from crosswire.core.targets import ToRoom
from crosswire.testing.redis_process import RedisProcess, servers_here

TTL = 1.0
ROOMS = [RoomLog(ToRoom("chat", id), f"cw:r:4:chat{id}".encode(), size, TTL) for id, size in (("1", 4), ("}", 100))]
ORIGINS = [b"origin-1", b"origin-2", b"\0\r\n\xff{}%$"]
CHANNEL_AT_THE_END = b"cw:end"


class Server:
    """A Redis whose scripts read the time from a key.

    Attributes:
        commands: makes the commands for it.
    """

    def __init__(self, process: RedisProcess) -> None:
        self._process = process
        self._socket = _connected(process)
        self._listener = _connected(process)
        self._replies, self._records = hiredis.Reader(), hiredis.Reader()
        self.commands = Commands(b"cw:", b"seed")
        self._ticks = 0
        self._names: dict[bytes, bytes] = {}
        for script in ALL:
            text = script.text.replace(b"redis.call('TIME')", b"redis.call('MGET', 'seconds', 'microseconds')")
            self.ask(command(b"SCRIPT", b"LOAD", text))
            self._names[script.name] = sha1(text).hexdigest().encode()
        channels = [*[room.channel for room in ROOMS], CHANNEL_AT_THE_END]
        self._listener.sendall(command(b"SUBSCRIBE", *channels))
        for _ in channels:
            self._read(self._listener, self._records)

    def close(self) -> None:
        self._socket.close()
        self._listener.close()

    def ask(self, encoded: bytes) -> Any:
        for script, name in self._names.items():
            encoded = encoded.replace(script, name, 1)
        self._socket.sendall(encoded)
        reply = self._read(self._socket, self._replies)
        assert not isinstance(reply, Exception), reply
        return reply

    def published(self) -> list[LogRecord]:
        """Return what was published since the last call."""
        self.ask(command(b"PUBLISH", CHANNEL_AT_THE_END, b""))
        found = []
        while (message := self._read(self._listener, self._records))[1] != CHANNEL_AT_THE_END:
            found.append(unpack_record(message[2]))
        return found

    def set_clock(self, now: int) -> None:
        """Set the clock to a time in milliseconds; no two calls set the same microsecond."""
        self._ticks = (self._ticks + 1) % 1000
        microseconds = now % 1000 * 1000 + self._ticks
        self.ask(command(b"MSET", b"seconds", b"%d" % (now // 1000), b"microseconds", b"%d" % microseconds))

    def pass_time(self, milliseconds: int) -> None:
        """Let each key end so much earlier."""
        for key in self.all_keys():
            left = self.ask(command(b"PTTL", key))
            assert left > 0, f"{key!r} never ends"
            self.ask(command(b"PEXPIRE", key, b"%d" % (left - milliseconds)))

    def dump(self) -> list[tuple[bytes, bytes, bytes]]:
        return [
            (key, b"%d" % self.ask(command(b"PTTL", key)), self.ask(command(b"DUMP", key))) for key in self.all_keys()
        ]

    def restore(self, dumped: Sequence[tuple[bytes, bytes, bytes]]) -> None:
        self.wipe()
        for key, life, value in dumped:
            self.ask(command(b"RESTORE", key, life, value))

    def wipe(self) -> None:
        if keys := self.all_keys():
            self.ask(command(b"DEL", *keys))

    def all_keys(self) -> list[bytes]:
        return list(self.ask(command(b"KEYS", b"cw:*")))

    @staticmethod
    def _read(connection: socket.socket, reader: hiredis.Reader) -> Any:
        while (reply := reader.gets()) is False:
            reader.feed(connection.recv(65536))
        return reply


def _connected(process: RedisProcess) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", process.port), timeout=10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


class SameLogs(RuleBasedStateMachine):
    """Gives each command to the model and to the server, and compares what comes."""

    server: ClassVar[Server]

    @initialize()
    def begin(self) -> None:
        epochs, self.runs = count(), count()
        self.model = MemoryRooms(lambda: f"{next(epochs):08d}")
        self.now = 1_700_000_000_000
        self.numbers: dict[tuple[bytes, bytes], int] = {}
        self.epochs: dict[str, str] = {}  # the model's, by the server's
        self.server.wipe()
        self.server.published()
        self.server.set_clock(self.now)
        self.snapshot: tuple[MemoryRooms, Any] = copy.deepcopy(self.model), []
        self.last_append: Append | None = None
        self.another_run()

    # Commands

    @rule(
        room=st.sampled_from(ROOMS),
        origin=st.sampled_from(ORIGINS),
        ids=st.lists(st.sampled_from([None, None, None, "x", "}y", "x" * 100]), max_size=6),
        back=st.sampled_from([0, 0, 0, 0, 1, 2, 9]),
        previous=st.sampled_from(["kept", "kept", "last", "missing"]),
        new_epoch=st.sampled_from([False, False, True]),
        settling=st.sampled_from([0.0, 0.2]),
        empty=st.booleans(),
    )
    def append(
        self,
        room: RoomLog,
        origin: bytes,
        ids: list[str | None],
        back: int,
        previous: str,
        new_epoch: bool,
        settling: float,
        empty: bool,
    ) -> None:
        last = self.numbers.get((room.channel, origin), 0)
        start = max(1, last + 1 - back)
        body = b"" if empty else b"body" * len(ids)
        messages = [NewMessage(start + 2 * step, b"%d %b" % (step, body), id) for step, id in enumerate(ids)]
        if messages:
            self.numbers[room.channel, origin] = max(last, messages[-1].number)
        before = {"kept": 0, "last": last, "missing": last + 1}[previous]
        self.append_to_both(
            Append(room, origin, before, messages, new_epoch, settling, lambda _: None, lambda *_: None)
        )

    @rule()
    def append_again(self) -> None:
        if self.last_append is not None:
            self.append_to_both(self.last_append)

    def append_to_both(self, append: Append) -> None:
        self.last_append = append
        expected = self.model.append(append, self.run_name, self.now)
        self.server.set_clock(self.now)
        reply = self.server.ask(self.server.commands.append(append))
        if reply == ANOTHER_RUN:
            reply = self.server.ask(self.server.commands.append(append, is_fresh=True))
        self.compare_published(expected.records)
        if expected.positions is None:
            assert reply == NOT_BEHIND
        else:
            positions = read_positions(reply, len(append.messages))
            assert [self.translated(each) for each in positions] == list(expected.positions)

    @rule(room=st.sampled_from(ROOMS), after=st.integers(0, 12), limit=st.integers(0, 12))
    def read(self, room: RoomLog, after: int, limit: int) -> None:
        expected, records = self.model.read(room, self.run_name, self.now, after, limit)
        self.compare_tails(self.read_page(room, b"+", after, limit), expected)
        self.compare_published(records)

    @rule(room=st.sampled_from(ROOMS), before=st.none() | st.integers(1, 12), limit=st.integers(0, 12))
    def read_before(self, room: RoomLog, before: int | None, limit: int) -> None:
        expected, records = self.model.read_before(room, self.run_name, self.now, before, limit)
        page = self.read_page(room, b"-", 2**53 - 1 if before is None else before, limit)
        self.compare_tails(page._replace(records=page.records[::-1]), expected)
        self.compare_published(records)

    @rule()
    def last_positions(self) -> None:
        found = self.server.ask(self.server.commands.last_positions(ROOMS))
        positions = [
            None if epoch is None else self.translated(LogPosition(epoch.decode(), last))
            for epoch, last in zip(found[::2], found[1::2], strict=True)
        ]
        assert positions == [self.model.last_position(room, self.run_name, self.now) for room in ROOMS]

    # What happens to a Redis

    @rule(milliseconds=st.sampled_from([1, 50, 199, 400, 1000, 2500, 600_000]))
    def pass_time(self, milliseconds: int) -> None:
        self.now += milliseconds
        self.server.set_clock(self.now)
        self.server.pass_time(milliseconds)

    @rule()
    def wipe(self) -> None:
        self.server.wipe()
        self.model.clear()

    @rule()
    def another_run(self) -> None:
        self.run_name = f"run {next(self.runs)}"
        self.server.commands.use_run(self.run_name.encode())

    @rule()
    def save(self) -> None:
        self.snapshot = copy.deepcopy(self.model), (self.now, self.server.dump())

    @rule()
    def start_from_the_dump(self) -> None:
        model, dumped = self.snapshot
        if dumped:
            then, keys = dumped
            self.model._rooms, self.model._ids = copy.deepcopy((model._rooms, model._ids))
            self.server.restore(keys)
            self.server.pass_time(self.now - then)
            self.another_run()

    @invariant()
    def every_key_ends_and_no_message_is_too_much(self) -> None:
        for key in self.server.all_keys():
            assert self.server.ask(command(b"PTTL", key)) > 0, key
        for room in ROOMS:
            assert self.server.ask(command(b"XLEN", self.server.commands.keys(room)[1])) <= room.size

    # Comparing

    def read_page(self, room: RoomLog, direction: bytes, offset: int, limit: int) -> Any:
        self.server.set_clock(self.now)
        reply = self.server.ask(self.server.commands.read(room, direction, offset, limit))
        if reply == ANOTHER_RUN:
            reply = self.server.ask(self.server.commands.read(room, direction, offset, limit, is_fresh=True))
        return read_page(reply, lambda error: pytest.fail(str(error)))

    def translated(self, position: LogPosition) -> LogPosition:
        return position._replace(epoch=self.epochs.get(position.epoch, position.epoch))

    def compare_tails(self, page: Any, expected: Tail) -> None:
        self.meet(page.last.epoch, expected.last.epoch)
        assert (self.translated(page.last), page.settled, page.now) == (expected.last, expected.settled, expected.now)
        assert self.with_epochs(page.records) == list(expected.records)

    def compare_published(self, records: Sequence[bytes]) -> None:
        expected = [unpack_record(record) for record in records]
        found = self.server.published()
        for mine, theirs in zip(expected, found, strict=True):
            self.meet(theirs.epoch, mine.epoch)
        assert self.with_epochs(found) == expected

    def with_epochs(self, records: Sequence[LogRecord]) -> list[LogRecord]:
        return [replace(record, epoch=self.epochs.get(record.epoch, "?")) for record in records]

    def meet(self, of_server: str, of_model: str) -> None:
        """Remember that two names mean the same epoch; fail if one of them means another one."""
        assert self.epochs.setdefault(of_server, of_model) == of_model
        assert len(set(self.epochs.values())) == len(self.epochs)


@pytest.fixture(scope="module", params=servers_here(), ids=lambda path: path.name)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with RedisProcess(request.param) as process:
        server = Server(process)
        yield server
        server.close()


def test_the_scripts_do_what_the_logs_in_memory_do(server: Server) -> None:
    machine = type("SameLogsHere", (SameLogs,), {"server": server})
    run_state_machine_as_test(machine, settings=settings(max_examples=40, stateful_step_count=30, deadline=None))


def test_a_log_remembers_no_senders_that_are_gone(server: Server) -> None:
    server.wipe()
    server.commands.use_run(b"senders")
    room, now, number = ROOMS[1], 1_700_000_000_000, 0
    for generation in range(6):
        for index in range(40):
            origin = b"%d-%06d" % (generation, index)
            number += 1
            now += 200
            server.set_clock(now)
            append = Append(room, origin, 0, [NewMessage(number, b"x")], False, 0.0, lambda _: None, lambda *_: None)
            assert read_positions(server.ask(server.commands.append(append)), 1)[0].offset == number
        now += 121_000
    fields = server.ask(command(b"HKEYS", server.commands.keys(room)[0]))
    remembered = {field[1:] for field in fields if field[:1] == b"o" and len(field) > 1}
    assert {b"5-%06d" % index for index in range(40)} <= remembered
    assert len(remembered) <= 120
