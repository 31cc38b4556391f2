"""Connections on sockets of their own, watched by one poller."""

from __future__ import annotations

import asyncio
import contextvars
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from crosswire.transport.socket_poller import LONE_TURNS, READABLE, SocketPoller
from crosswire.transport.socket_transport import SocketTransport
from tests.support.aio import wait_until
from tests.support.loops import on_every_loop

MUCH = b"0123456789abcdef" * 65536
"""More bytes than two sockets of one machine hold."""

TIMEOUT = 20
"""Seconds after which a wait fails."""


class Recorder(asyncio.Protocol):
    """Protocol that records what it is told."""

    def __init__(self) -> None:
        self.transport: SocketTransport
        self.received = b""
        self.calls: list[str] = []
        self.error: Exception | None = None
        self.keeps_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, SocketTransport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data

    def eof_received(self) -> bool:
        self.calls.append("eof")
        return self.keeps_open

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append("lost")
        self.error = exc


class Buffered(asyncio.BufferedProtocol):
    """Protocol with a buffer of its own."""

    def __init__(self) -> None:
        self.buffer = bytearray(4)
        self.received = b""

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.received += self.buffer[:nbytes]


class Bench:
    """Connections of one poller, and their peers."""

    def __init__(self) -> None:
        self.poller = SocketPoller()
        self.peers: list[socket.socket] = []

    def connect(self, protocol: asyncio.BaseProtocol) -> tuple[SocketTransport, socket.socket]:
        own, peer = socket.socketpair()
        own.setblocking(False)
        peer.setblocking(False)
        self.peers.append(peer)
        transport = SocketTransport(own, "", self.poller, protocol)
        transport.begin()
        return transport, peer

    def record(self) -> tuple[Recorder, socket.socket]:
        recorder = Recorder()
        _, peer = self.connect(recorder)
        return recorder, peer


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    it = Bench()
    yield it
    for peer in it.peers:
        peer.close()
    await wait_until(lambda: not len(it.poller))
    it.poller.end()


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Return a socket that does not block, and its peer, connected over TCP."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        peer = socket.create_connection(server.getsockname())
        own, _ = server.accept()
    own.setblocking(False)
    return own, peer


async def read_all(peer: socket.socket, size: int) -> bytes:
    """Return ``size`` bytes that come, or fewer if the connection ends before."""
    data = b""
    while len(data) < size:
        part = await asyncio.get_running_loop().sock_recv(peer, 1 << 20)
        if not part:
            break
        data += part
    return data


@on_every_loop
async def test_bytes_go_both_ways() -> None:
    async with bench() as it:
        recorder, peer = it.record()
        peer.send(b"hello")
        await wait_until(lambda: recorder.received == b"hello")
        recorder.transport.write(b"world")
        assert peer.recv(100) == b"world"
        assert recorder.transport.get_write_buffer_size() == 0


async def test_a_protocol_with_a_buffer_gets_the_bytes_in_it() -> None:
    async with bench() as it:
        buffered = Buffered()
        transport, peer = it.connect(buffered)
        peer.send(b"more than four")
        await wait_until(lambda: buffered.received == b"more than four")
        recorder = Recorder()
        transport.set_protocol(recorder)
        assert transport.get_protocol() is recorder
        peer.send(b"for the next")
        await wait_until(lambda: recorder.received == b"for the next")


@on_every_loop
async def test_what_the_kernel_does_not_take_waits_in_order() -> None:
    async with bench() as it:
        recorder, peer = it.record()
        transport = recorder.transport
        transport.write(MUCH)
        transport.write(b"the end")
        assert recorder.calls == ["pause"]
        assert 0 < transport.get_write_buffer_size() <= len(MUCH) + 7
        assert await read_all(peer, len(MUCH) + 7) == MUCH + b"the end"
        await wait_until(lambda: recorder.calls == ["pause", "resume"])
        assert transport.get_write_buffer_size() == 0


async def test_what_is_written_when_there_is_room_comes_behind_what_waits() -> None:
    async with bench() as it:
        recorder, peer = it.record()
        transport = recorder.transport
        recorder.resume_writing = lambda: transport.write(b"behind")  # type: ignore[method-assign]
        transport.write(MUCH)
        assert await read_all(peer, len(MUCH) + 6) == MUCH + b"behind"


@on_every_loop
async def test_what_is_written_when_the_kernel_has_taken_all_needs_no_further_event() -> None:
    async with bench() as it:
        own, peer = tcp_pair()
        own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
        peer.setblocking(False)
        it.peers.append(peer)
        recorder = Recorder()
        transport = SocketTransport(own, "", it.poller, recorder)
        transport.begin()
        behind = [b"and ", b"behind"]
        recorder.resume_writing = lambda: transport.write(behind.pop(0)) if behind else None  # type: ignore[method-assign]
        transport.set_write_buffer_limits(0, 0)  # so that it is told then
        transport.write(MUCH * 8)  # more than both sides' buffers
        assert transport.get_write_buffer_size()
        expected = MUCH * 8 + b"and behind"
        assert await asyncio.wait_for(read_all(peer, len(expected)), TIMEOUT) == expected


async def test_watermarks_say_when_the_protocol_is_paused() -> None:
    async with bench() as it:
        recorder, peer = it.record()
        transport = recorder.transport
        transport.set_write_buffer_limits(10 * len(MUCH))
        transport.write(MUCH)
        assert recorder.calls == []
        waiting = transport.get_write_buffer_size()
        transport.set_write_buffer_limits(waiting - 1, waiting - 1)
        assert transport.get_write_buffer_limits() == (waiting - 1, waiting - 1)
        assert recorder.calls == ["pause"]
        await read_all(peer, len(MUCH) - waiting + 1)
        await wait_until(lambda: recorder.calls == ["pause", "resume"])
        transport.abort()


@on_every_loop
async def test_a_close_lets_what_waits_leave() -> None:
    async with bench() as it:
        recorder, peer = it.record()
        recorder.transport.write(MUCH)
        recorder.transport.close()
        recorder.transport.write(b"too late")
        assert recorder.transport.is_closing()
        assert not recorder.transport.is_reading()
        assert await read_all(peer, len(MUCH) + 8) == MUCH
        await wait_until(lambda: recorder.calls[-1] == "lost")
        assert recorder.error is None


async def test_the_protocol_is_told_of_the_end_in_a_later_turn() -> None:
    async with bench() as it:
        recorder, _ = it.record()
        recorder.transport.close()
        recorder.transport.close()
        recorder.transport.abort()
        assert recorder.calls == []
        await wait_until(lambda: recorder.calls == ["lost"])


async def test_an_abort_discards_what_waits() -> None:
    async with bench() as it:
        recorder, peer = it.record()
        recorder.transport.write(MUCH)
        recorder.transport.close()
        recorder.transport.abort()
        await wait_until(lambda: recorder.calls[-1] == "lost")
        assert len(await read_all(peer, len(MUCH))) < len(MUCH)


async def test_nothing_is_read_while_reading_is_paused_and_the_end_costs_nothing() -> None:
    async with bench() as it:
        recorder, peer = it.record()
        recorder.transport.pause_reading()
        recorder.transport.pause_reading()
        assert not recorder.transport.is_reading()
        peer.send(b"waits")
        peer.close()
        other, other_peer = it.record()
        served = 0

        def serve(events: int) -> None:
            nonlocal served
            served += 1
            recorder.transport.ready(events)

        it.poller._sockets[recorder.transport._descriptor] = _Counted(serve)
        for number in range(5):
            other_peer.send(b"x")
            await wait_until(lambda: len(other.received) > number)  # noqa: B023 - awaited here
        assert served == 1, "it is watched until something comes, and no longer"
        assert recorder.received == b""
        it.poller._sockets[recorder.transport._descriptor] = recorder.transport
        recorder.transport.resume_reading()
        await wait_until(lambda: recorder.calls == ["eof", "lost"])
        assert recorder.received == b"waits"


class _NotingPoller(SocketPoller):
    """Poller that notes what it is told to watch for."""

    __slots__ = ("noted",)

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[int] = []

    def watch(self, descriptor: int, events: int, before: int) -> None:
        self.noted.append(events)
        super().watch(descriptor, events, before)


async def test_a_pause_in_which_nothing_comes_needs_no_system_call() -> None:
    async with bench() as it:
        it.poller.end()
        it.poller = poller = _NotingPoller()
        recorder, peer = it.record()
        recorder.transport.pause_reading()
        recorder.transport.resume_reading()
        assert poller.noted == []
        peer.send(b"read all the same")
        await wait_until(lambda: recorder.received == b"read all the same")
        recorder.transport.pause_reading()
        peer.send(b", later")
        await wait_until(lambda: poller.noted == [0])
        recorder.transport.resume_reading()
        await wait_until(lambda: recorder.received == b"read all the same, later")
        assert poller.noted == [0, READABLE]


class _Counted:
    def __init__(self, ready: Any) -> None:
        self.ready = self.ready_alone = ready

    def fail(self, error: BaseException) -> None:
        raise error


async def test_sending_ends_behind_what_waits_and_reading_goes_on() -> None:
    async with bench() as it:
        recorder, peer = it.record()
        recorder.transport.write(MUCH)
        assert recorder.transport.can_write_eof()
        recorder.transport.write_eof()
        assert await read_all(peer, len(MUCH) + 1) == MUCH
        peer.send(b"an answer")
        await wait_until(lambda: recorder.received == b"an answer")


async def test_a_protocol_may_keep_a_connection_whose_peer_has_ended_sending() -> None:
    async with bench() as it:
        recorder, peer = it.record()
        recorder.keeps_open = True
        peer.send(b"a question")
        peer.shutdown(socket.SHUT_WR)
        await wait_until(lambda: recorder.calls == ["eof"])
        recorder.transport.write(b"an answer")
        recorder.transport.close()
        assert await read_all(peer, 100) == b"an answer"


@on_every_loop
async def test_what_is_behind_an_urgent_byte_is_read_too() -> None:
    async with bench() as it:
        own, peer = tcp_pair()
        it.peers.append(peer)
        recorder = Recorder()
        SocketTransport(own, "", it.poller, recorder).begin()
        peer.send(b"in front, ")
        peer.send(b"!", socket.MSG_OOB)  # the kernel ends a read there, though there is more
        peer.send(b"and behind")
        await wait_until(lambda: recorder.received == b"in front, and behind")


async def test_a_reset_ends_the_connection_with_its_error() -> None:
    async with bench() as it:
        own, peer = tcp_pair()
        recorder = Recorder()
        transport = SocketTransport(own, own.getpeername(), it.poller, recorder)
        transport.begin()
        assert transport.get_extra_info("peername") == peer.getsockname()
        assert transport.get_extra_info("sockname") == peer.getpeername()
        assert transport.get_extra_info("socket").fileno() == own.fileno()
        assert transport.get_extra_info("ssl_object", "none") == "none"
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        await wait_until(lambda: recorder.calls == ["lost"])
        assert isinstance(recorder.error, ConnectionResetError)


async def test_a_write_to_a_peer_that_is_gone_ends_the_connection() -> None:
    async with bench() as it:
        recorder, peer = it.record()
        recorder.transport.pause_reading()
        peer.close()
        recorder.transport.write(b"for nobody")
        recorder.transport.write(b"for nobody")
        await wait_until(lambda: recorder.calls == ["lost"])
        assert isinstance(recorder.error, BrokenPipeError)


@on_every_loop
async def test_a_protocol_that_fails_ends_its_own_connection_only() -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, report: reported.append(report))
    async with bench() as it:
        (first, first_peer), (second, second_peer) = it.record(), it.record()

        def refuse(data: bytes) -> None:
            raise ValueError("no")

        first.data_received = refuse  # type: ignore[method-assign]
        first_peer.send(b"x")
        second_peer.send(b"x")
        await wait_until(lambda: first.calls == ["lost"] and second.received == b"x")
        assert isinstance(first.error, ValueError)
        assert [(each["exception"], each["transport"]) for each in reported] == [(first.error, first.transport)]


async def test_a_failure_at_the_end_of_one_connection_is_reported_and_others_end_all_the_same() -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, report: reported.append(report))
    async with bench() as it:
        (first, _), (second, _) = it.record(), it.record()

        def refuse(exc: Exception | None) -> None:
            raise ValueError("no")

        first.connection_lost = refuse  # type: ignore[method-assign]
        first.transport.close()
        second.transport.close()
        await wait_until(lambda: second.calls == ["lost"])
        assert [str(each["exception"]) for each in reported] == ["no"]


async def test_callbacks_run_in_the_context_of_the_poller() -> None:
    variable = contextvars.ContextVar("variable", default="outside")
    seen: list[str] = []
    async with bench() as it:
        variable.set("of a handler")
        recorder, peer = it.record()
        recorder.data_received = lambda data: seen.append(variable.get())  # type: ignore[method-assign]
        recorder.connection_lost = lambda exc: seen.append(variable.get())  # type: ignore[method-assign]
        peer.send(b"x")
        await wait_until(lambda: len(seen) == 1)
        recorder.transport.close()
        await wait_until(lambda: len(seen) == 2)
    assert seen == ["outside", "outside"]


class _CountedEpoll:
    """Counts the looks of a poller."""

    def __init__(self, epoll: Any) -> None:
        self.epoll = epoll
        self.looks = 0

    def poll(self, *arguments: Any) -> Any:
        self.looks += 1
        return self.epoll.poll(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.epoll, name)


@on_every_loop
async def test_a_connection_that_is_alone_is_read_without_a_look_into_the_epoll() -> None:
    async with bench() as it:
        recorder, peer = it.record()
        counted = it.poller._epoll = _CountedEpoll(it.poller._epoll)  # type: ignore[assignment]
        for count in range(1, 101):
            peer.send(b"x")
            await wait_until(lambda count=count: len(recorder.received) == count)  # type: ignore[misc]
        assert counted.looks < 50


@on_every_loop
async def test_others_are_served_beside_a_connection_that_was_alone() -> None:
    async with bench() as it:
        busy, echo = it.record()
        other, peer = it.record()
        reads: list[bytes] = []

        def read(data: bytes) -> None:
            reads.append(data)
            if not other.received:  # so there is something to read in every turn
                echo.send(data)

        busy.data_received = read  # type: ignore[method-assign]
        echo.send(b"x")
        await wait_until(lambda: len(reads) > LONE_TURNS)
        peer.send(b"y")
        await wait_until(lambda: other.received == b"y")


@on_every_loop
async def test_what_comes_with_the_end_of_a_connection_is_read_before_it() -> None:
    async with bench() as it:
        several = [it.record() for _ in range(3)]
        for _, peer in several:
            peer.send(b"last")
            peer.close()
        await wait_until(lambda: all(recorder.calls == ["eof", "lost"] for recorder, _ in several))
        assert [recorder.received for recorder, _ in several] == [b"last"] * 3


@on_every_loop
async def test_what_there_was_no_room_for_is_read_in_the_next_turns() -> None:
    async with bench() as it:
        several = [Buffered() for _ in range(3)]
        peers = [it.connect(protocol)[1] for protocol in several]
        for peer in peers:
            peer.send(b"0123456789ab")
        await wait_until(lambda: all(protocol.received == b"0123456789ab" for protocol in several))


async def test_a_connection_is_told_once_of_what_comes_and_a_listening_socket_in_each_turn() -> None:
    async with bench() as it:
        served = {"connection": 0, "listening": 0}

        def noted(name: str) -> _Counted:
            def serve(events: int) -> None:
                served[name] += 1

            return _Counted(serve)

        pairs = [socket.socketpair() for _ in range(2)]
        it.poller.add(pairs[0][0].fileno(), noted("connection"))
        it.poller.add_listening(pairs[1][0].fileno(), noted("listening"))
        for count in (1, 2):
            for _, peer in pairs:
                peer.send(b"x")
            turns = served["listening"] + 5
            await wait_until(lambda turns=turns: served["listening"] > turns)  # type: ignore[misc]
            assert served["connection"] == count
        for own, peer in pairs:
            it.poller.remove(own.fileno(), READABLE)
            own.close()
            peer.close()


async def test_the_poller_ends_with_its_last_connection() -> None:
    it = Bench()
    recorder, _ = it.record()
    it.poller.end()
    assert not it.poller._epoll.closed
    recorder.transport.close()
    await wait_until(lambda: it.poller._epoll.closed)
    it.poller.end()
    it.peers[0].close()
