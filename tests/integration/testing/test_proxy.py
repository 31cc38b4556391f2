from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from functools import partial

import pytest

from crosswire.testing.proxy import ProxiedConnection, TcpProxy
from crosswire.testing.recording import eventually
from crosswire.testing.redis_process import RedisProcess
from tests.integration.testing.proxied_server import WAIT_TIMEOUT, Peer, proxied_server, send_until_stuck

# Without faults


async def test_bytes_pass_both_ways_and_are_counted() -> None:
    async with proxied_server() as proxied:
        client, server, link = await proxied.pair()
        client.send(b"hello")
        assert await server.receive(5) == b"hello"
        server.send(b"welcome")
        assert await client.receive(7) == b"welcome"
        assert (link.index, link.bytes_up, link.bytes_down, link.bytes_lost) == (0, 5, 7, 0)
        assert repr(link) == "<ProxiedConnection 0: 5 bytes up, 7 down, 0 lost>"


async def test_what_is_sent_before_the_server_is_connected_is_not_lost() -> None:
    async with proxied_server() as proxied:
        for number in range(50):
            client = await proxied.client()
            client.send(b"%5d" % number)
        assert sorted([await (await proxied.arrived.get()).receive(5) for _ in range(50)]) == [
            b"%5d" % number for number in range(50)
        ]


async def test_large_data_arrives_complete_at_a_slow_reader() -> None:
    async with proxied_server() as proxied:
        client, server, _ = await proxied.pair()
        data = b"".join(number.to_bytes(4, "big") for number in range(2_000_000))
        for sender, receiver in ((client, server), (server, client)):
            sender.send(data)
            sender.writer.write_eof()
            assert await receiver.rest() == data


async def test_a_peer_that_does_not_read_blocks_the_sender() -> None:
    async with proxied_server() as proxied:
        client, server, _ = await proxied.pair()
        for sender, receiver in ((client, server), (server, client)):
            sent = await send_until_stuck(sender)
            assert await receiver.receive(sent) == bytes(sent)


async def test_an_end_of_stream_passes_and_the_other_way_stays_open() -> None:
    async with proxied_server() as proxied:
        client, server, _ = await proxied.pair()
        client.send(b"last words")
        client.writer.write_eof()
        assert await server.rest() == b"last words"
        server.send(b"heard")
        server.writer.write_eof()
        assert await client.rest() == b"heard"
        await eventually(lambda: not proxied.proxy.links, "the link is over")


@pytest.mark.parametrize("by_client", [True, False])
async def test_a_reset_passes_as_a_reset(by_client: bool) -> None:
    async with proxied_server() as proxied:
        client, server, _ = await proxied.pair()
        (client if by_client else server).reset()
        assert await (server if by_client else client).is_reset()
        await eventually(lambda: not proxied.proxy.links, "the link is over")


async def test_links_are_told_apart_by_what_was_sent_first() -> None:
    async with proxied_server() as proxied:
        one, _, first = await proxied.pair()
        two, server, second = await proxied.pair()
        one.send(b"PING\r\n")
        two.send(b"SUBSCRIBE room\r\n")
        two.send(b"x" * 10_000)
        await server.receive(10_016)
        await eventually(lambda: first.first_bytes == b"PING\r\n", "it passes")
        assert second.first_bytes == (b"SUBSCRIBE room\r\n" + b"x" * 10_000)[:4096]
        assert [link for link in proxied.proxy.links if b"SUBSCRIBE" in link.first_bytes] == [second]
        assert (first.index, second.index) == (0, 1)


async def test_a_server_that_can_not_be_reached_is_a_reset_for_the_client() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        async with TcpProxy(*nobody.getsockname()) as proxy:
            client = Peer(*await asyncio.open_connection("127.0.0.1", proxy.port))
            assert await client.is_reset()
            assert not proxy.links


# Delay


async def test_delayed_bytes_of_the_server_come_later_and_in_order() -> None:
    async with proxied_server() as proxied:
        client, server, _ = await proxied.pair()
        loop, delay = asyncio.get_running_loop(), 0.05
        proxied.proxy.delay(delay)
        client.send(b"question")
        await server.receive(8)
        asked = loop.time()
        server.send(b"one ")
        assert await client.receive(4) == b"one "
        assert loop.time() - asked >= delay - 0.002  # uvloop's clock has whole milliseconds
        server.send(b"two ")
        proxied.proxy.delay(0)
        server.send(b"three")
        server.writer.write_eof()
        assert await client.rest() == b"two three"


async def test_later_links_are_delayed_too_and_the_bytes_on_the_way_are_limited() -> None:
    async with proxied_server() as proxied:
        proxied.proxy.delay(3600)
        client, server, link = await proxied.pair()
        await send_until_stuck(server)
        client.send(b"at once")
        assert await server.receive(7) == b"at once"
        assert link.bytes_down == 0


# The end


async def test_links_in_any_state_are_closed_at_the_end() -> None:
    async with proxied_server() as proxied:
        faults: list[Callable[[ProxiedConnection], None]] = [
            lambda link: None,
            proxied.proxy.hold,
            proxied.proxy.blackhole,
            partial(proxied.proxy.cut, reset=False),
            lambda link: proxied.proxy.delay(3600),
        ]
        pairs = []
        for fault in faults:
            client, server, link = await proxied.pair()
            await send_until_stuck(client)
            fault(link)
            server.send(b"x")
            pairs.append((client, server))
        await proxied.client()  # perhaps not yet connected to the server
        proxy = proxied.proxy
        async with asyncio.timeout(WAIT_TIMEOUT):
            await proxy.__aexit__()
        assert not proxy.links
        for client, server in pairs:
            await asyncio.gather(client.is_reset(), server.is_reset())
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", proxy.port)


# With Redis behind it


async def test_the_connection_of_a_subscriber_can_be_chosen() -> None:
    with RedisProcess() as redis:
        async with TcpProxy("127.0.0.1", redis.port) as proxy:
            subscriber, other = [Peer(*await asyncio.open_connection("127.0.0.1", proxy.port)) for _ in range(2)]
            subscriber.send(b"SUBSCRIBE room\r\n")
            await subscriber.receive(len(b"*3\r\n$9\r\nsubscribe\r\n$4\r\nroom\r\n:1\r\n"))
            link = next(each for each in proxy.links if b"SUBSCRIBE" in each.first_bytes)
            before = link.bytes_down
            proxy.blackhole(link)
            other.send(b"PUBLISH room hello\r\n")
            assert await other.receive(4) == b":1\r\n"  # Redis believes that it was received
            await eventually(lambda: link.bytes_lost, "it is lost")
            assert link.bytes_down == before
            proxy.cut(link)
            assert await subscriber.is_reset()
            await eventually(lambda: redis.command("PUBSUB", "CHANNELS") == [], "Redis learns of the cut")
            other.writer.transport.abort()


async def test_the_proxy_survives_a_restart_of_the_server() -> None:
    with RedisProcess() as redis:
        async with TcpProxy("127.0.0.1", redis.port) as proxy:
            client = Peer(*await asyncio.open_connection("127.0.0.1", proxy.port))
            client.send(b"PING\r\n")
            await client.receive(7)
            redis.kill()
            assert await client.rest() == b""
            client.writer.transport.abort()
            client = Peer(*await asyncio.open_connection("127.0.0.1", proxy.port))
            assert await client.is_reset()
            redis.restart()
            client = Peer(*await asyncio.open_connection("127.0.0.1", proxy.port))
            client.send(b"PING\r\n")
            assert await client.receive(7) == b"+PONG\r\n"
            client.writer.transport.abort()
