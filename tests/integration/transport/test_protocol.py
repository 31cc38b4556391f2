"""RFC 6455, byte by byte, against a server."""

from __future__ import annotations

import asyncio
import gc

import pytest

from crosswire import Close, Limits, Response
from crosswire.core.frame_reader import Frame
from crosswire.core.frames import Opcode
from crosswire.transport.picows_connection import PicowsConnection
from crosswire.transport.picows_handshake import HandshakeProtocol
from tests.integration.transport.raw_connection import close_frame, code_of, echo_server, frame, text
from tests.support.aio import wait_until

TEXT, BINARY, CONTINUATION, PING = 0x81, 0x82, 0x80, 0x89
FIRST_TEXT, MIDDLE = 0x01, 0x00
A, B = frame(TEXT, b"A"), frame(TEXT, b"B")


async def expect(sent: bytes, *echoes: Frame, code: int, limits: Limits | None = None) -> None:
    """Send bytes, and expect these frames, then one Close, then the end."""
    async with echo_server(limits) as echo, echo.connect() as raw:
        await raw.upgrade()
        *before, last = await raw.send(sent).frames()
        assert before == list(echoes)
        assert code_of(last) == code
        raw.send(close_frame(code))
        await raw.close()
        await wait_until(lambda: echo.closes)
        assert [close.code for close in echo.closes] == [code]


async def test_messages_in_front_of_a_broken_frame_are_answered_first_and_nothing_after_it() -> None:
    await expect(A + B + frame(0x83) + frame(TEXT, b"C"), text(b"A"), text(b"B"), code=1002)


async def test_the_handshake_protocol_is_freed_after_the_upgrade() -> None:
    def handshakes() -> list[HandshakeProtocol]:
        gc.collect()
        return [each for each in gc.get_objects() if isinstance(each, HandshakeProtocol)]

    # Other tests leave some: a kept exception keeps the frames of its traceback. Held here, so that no id is reused.
    others = handshakes()
    known = {id(each) for each in others}

    def own() -> int:
        return sum(id(each) not in known for each in handshakes())

    async with echo_server() as echo, echo.connect() as raw:
        await wait_until(own)
        await raw.upgrade(A)
        await wait_until(lambda: not own())
        assert await raw.send(close_frame(1000)).frames() == [text(b"A"), Frame(Opcode.CLOSE, b"\x03\xe8")]


@pytest.mark.parametrize(
    "sent",
    [close_frame(1000), frame(0x83), frame(TEXT, b"\xff"), b"\x82\xff\x7f" + b"\xff" * 7 + bytes(4), b""],
    ids=["close", "opcode", "UTF-8", "2^63-1 bytes", "reset"],
)
async def test_a_connection_that_has_ended_is_freed_without_the_garbage_collector(sent: bytes) -> None:
    def connections() -> int:
        return sum(type(each) is PicowsConnection for each in gc.get_objects())

    async with echo_server() as echo:
        gc.collect()
        gc.disable()
        try:
            before = connections()
            for number in range(1, 4):
                async with echo.connect() as raw:
                    await raw.upgrade()
                    raw.send(sent)
                    if sent:
                        await raw.frames()
                    else:
                        raw.reset()
                await wait_until(lambda: len(echo.closes) == number)  # noqa: B023 - it is called here
            await wait_until(lambda: connections() == before)
        finally:
            gc.enable()


async def test_a_message_in_the_packet_of_the_request_is_received() -> None:
    async with echo_server() as echo, echo.connect() as raw:
        await raw.upgrade(A)
        assert await raw.send(close_frame(1000)).frames() == [text(b"A"), Frame(Opcode.CLOSE, b"\x03\xe8")]


async def test_the_first_of_two_closes_is_answered() -> None:
    await expect(close_frame(1000, b"one") + close_frame(1001, b"two"), code=1000)


@pytest.mark.parametrize("behind", [close_frame(1000), A + close_frame(1000)], ids=["alone", "behind a message"])
@pytest.mark.parametrize("together", ["the request", "the message that ends the connection", "nothing"])
async def test_all_that_was_sent_leaves_though_the_close_of_the_peer_comes_at_once(
    together: str, behind: bytes
) -> None:
    async with echo_server() as echo, echo.connect() as raw:
        echo.server.on_message(lambda socket, message: socket.close(4001) if message == "bye" else None)
        sent = A + frame(TEXT, b"bye")
        if together == "the request":
            await raw.upgrade(sent + behind)
        else:
            await raw.upgrade()
            if together == "nothing":
                raw.send(sent)
                await wait_until(lambda: not echo.server.sockets)
                sent = b""
            raw.send(sent + behind)
        assert await raw.frames() == [text(b"A"), text(b"bye"), Frame(Opcode.CLOSE, b"\x0f\xa1")]


async def test_nothing_is_answered_after_a_close() -> None:
    await expect(close_frame(1000) + A + frame(PING, b"x"), code=1000)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535])
async def test_a_close_code_that_must_not_be_sent_is_refused(code: int) -> None:
    await expect(close_frame(code), code=1002)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(frame(0xC1, b"x"), id="RSV1"),
        pytest.param(frame(0xA1, b"x"), id="RSV2"),
        pytest.param(frame(0x91, b"x"), id="RSV3"),
        pytest.param(frame(0xC9, b"x"), id="RSV1 on a ping"),
        pytest.param(frame(FIRST_TEXT, b"x") + frame(0xC0, b"x"), id="RSV1 on a continuation"),
        pytest.param(b"\x81\x01x", id="unmasked"),
        pytest.param(frame(0x83), id="opcode 3"),
        pytest.param(frame(0x8B), id="opcode 11"),
        pytest.param(frame(0x09, b"x"), id="fragmented ping"),
        pytest.param(frame(PING, bytes(126)), id="long ping"),
        pytest.param(frame(0x88, b"\x03"), id="a close code of one byte"),
        pytest.param(frame(CONTINUATION, b"x"), id="a continuation of nothing"),
        pytest.param(frame(FIRST_TEXT, b"x") + A, id="a message inside a message"),
        pytest.param(b"\x81\xfe\x00\x05" + bytes(9), id="a length that is longer than it must be"),
        pytest.param(b"\x82\xff" + b"\xff" * 8 + bytes(4), id="a length of 64 bits"),
    ],
)
async def test_a_frame_that_the_protocol_forbids_ends_the_connection_with_1002(sent: bytes) -> None:
    await expect(A + sent + B, text(b"A"), code=1002)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(frame(TEXT, b"\xff"), id="whole"),
        pytest.param(frame(FIRST_TEXT, b"\xc3") + frame(MIDDLE, b"\x28"), id="across fragments, at once"),
        pytest.param(frame(FIRST_TEXT, b"\xed\xa0") + frame(MIDDLE, b"\x80"), id="a surrogate"),
        pytest.param(frame(FIRST_TEXT, b"\xc3") + frame(CONTINUATION), id="cut short"),
        pytest.param(close_frame(1000, b"\xff"), id="the reason of a close"),
    ],
)
async def test_text_that_is_not_utf8_fails_fast_with_1007(sent: bytes) -> None:
    await expect(sent, code=1007)


async def test_fragments_are_joined_with_pings_between_them() -> None:
    euro = "€".encode()
    sent = [frame(FIRST_TEXT, euro[:1]), frame(PING, b"1"), frame(MIDDLE, euro[1:2]), frame(CONTINUATION, euro[2:])]
    await expect(b"".join([*sent, close_frame(1000)]), Frame(Opcode.PONG, b"1"), text(euro), code=1000)


async def test_frames_are_read_byte_by_byte() -> None:
    async with echo_server() as echo, echo.connect() as raw:
        await raw.upgrade()
        for byte in A + frame(PING, b"x") + close_frame(1000):
            raw.send(bytes((byte,)))
            await raw.drain()
            await asyncio.sleep(0)
        assert [each.opcode for each in await raw.frames()] == [Opcode.TEXT, Opcode.PONG, Opcode.CLOSE]


async def test_too_many_fragments_end_the_connection_with_1009() -> None:
    await expect(frame(FIRST_TEXT, b"x") + frame(MIDDLE, b"x") * 10, code=1009, limits=Limits(fragments=10))


async def test_fragments_that_are_too_large_together_end_the_connection_with_1009() -> None:
    await expect(frame(0x02, bytes(60)) + frame(MIDDLE, bytes(60)), code=1009, limits=Limits(max_message=100))


@pytest.mark.parametrize("bad", [b"", frame(0x83), frame(TEXT, b"\xff")], ids=["too large", "opcode", "UTF-8"])
async def test_a_peer_that_is_still_sending_gets_the_close_and_no_reset(bad: bytes) -> None:
    async with echo_server() as echo, echo.connect() as raw:
        await raw.upgrade()
        raw.send(bad + frame(BINARY, bytes(8 * 1024 * 1024)))
        [last] = await raw.frames()
        assert code_of(last) in (1009, 1002, 1007)
        await raw.close()
        await wait_until(lambda: echo.closes)


async def test_invalid_data_after_our_close_is_discarded() -> None:
    async with echo_server(Limits(close_timeout=3600)) as echo, echo.connect() as raw:
        await raw.upgrade()
        await wait_until(lambda: echo.server.sockets)
        echo.server.sockets[0].close(4000)  # type: ignore[index]
        [last] = await raw.send(frame(0x83) + bytes(1024 * 1024)).frames()
        assert code_of(last) == 4000
        await raw.close()
        await wait_until(lambda: echo.closes)
        assert echo.closes == [Close(4000)]


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "], ids=["silent", "half a request"])
async def test_a_handshake_that_takes_too_long_is_dropped(sent: bytes) -> None:
    async with echo_server(Limits(handshake_timeout=0.1)) as echo, echo.connect() as raw:
        # Unread bytes of a request would turn the end into a reset.
        assert await raw.send(sent).size_of_rest() == 0


async def test_a_peer_that_does_not_read_its_response_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    abort, aborted = HandshakeProtocol.abort, []

    def record(handshake: HandshakeProtocol) -> None:
        aborted.append(handshake)
        abort(handshake)

    monkeypatch.setattr(HandshakeProtocol, "abort", record)

    async with echo_server(Limits(handshake_timeout=1)) as echo, echo.connect() as raw:
        page = bytes(32 * 1024 * 1024)
        echo.server.get("/large", lambda: Response(body=page))
        await raw.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").read_until(b"\r\n\r\n")
        await wait_until(lambda: aborted)  # when the time for the handshake is over
        assert await raw.size_of_rest() < len(page)


@pytest.mark.parametrize("how", ["reset", "end"])
async def test_a_peer_that_is_gone_without_a_close_is_1006(how: str) -> None:
    async with echo_server() as echo, echo.connect() as raw:
        await raw.upgrade()
        await wait_until(lambda: echo.server.sockets)
        if how == "reset":
            raw.reset()
        else:
            await raw.close()
        await wait_until(lambda: echo.closes)
        assert [close.code for close in echo.closes] == [1006]


async def test_bytes_behind_a_plain_request_are_ignored() -> None:
    async with echo_server() as echo, echo.connect() as raw:
        request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
        answer = await raw.send(request + b"\x00garbage" * 100 + request).read_all()
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.count(b"HTTP/1.1") == 1
