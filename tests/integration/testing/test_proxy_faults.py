from __future__ import annotations

import asyncio

import pytest

from crosswire.testing.recording import eventually
from tests.integration.testing.proxied_server import WAIT_TIMEOUT, proxied_server, send_until_stuck

# Black holes


async def test_a_black_hole_discards_all_bytes_and_keeps_connections_open() -> None:
    async with proxied_server() as proxied:
        client, server, link = await proxied.pair()
        client.send(b"before")
        await server.receive(6)
        proxied.proxy.blackhole()
        size = 32 * 1024 * 1024
        for sender in (client, server):
            sender.send(bytes(size))
        async with asyncio.timeout(WAIT_TIMEOUT):
            await client.writer.drain()
            await server.writer.drain()
        await eventually(lambda: link.bytes_lost == 2 * size, "all is lost")
        assert (link.bytes_up, link.bytes_down) == (6, 0)
        assert proxied.proxy.links == [link]
        proxied.proxy.cut(reset=False)
        assert (await client.rest(), await server.rest()) == (b"", b"")


async def test_one_direction_can_be_a_black_hole() -> None:
    async with proxied_server() as proxied:
        client, server, link = await proxied.pair()
        proxied.proxy.blackhole(link, down=False)
        client.send(b"lost")
        await eventually(lambda: link.bytes_lost == 4, "it is lost")
        server.send(b"heard")
        assert await client.receive(5) == b"heard"
        client, server, link = await proxied.pair()
        proxied.proxy.blackhole(link, up=False)
        server.send(b"lost")
        await eventually(lambda: link.bytes_lost == 4, "it is lost")
        client.send(b"heard")
        assert await server.receive(5) == b"heard"


async def test_a_black_hole_does_not_affect_other_and_later_links() -> None:
    async with proxied_server() as proxied:
        _, _, chosen = await proxied.pair()
        spared = await proxied.pair()
        proxied.proxy.blackhole(chosen)
        later = await proxied.pair()
        proxied.proxy.blackhole(later[2])
        latest = await proxied.pair()
        for client, server, _ in (spared, latest):
            client.send(b"hello")
            assert await server.receive(5) == b"hello"


@pytest.mark.parametrize("how", ["end", "reset"])
async def test_an_end_is_lost_in_a_black_hole_too(how: str) -> None:
    async with proxied_server() as proxied:
        client, server, link = await proxied.pair()
        proxied.proxy.blackhole()
        if how == "end":
            client.writer.write_eof()
            await eventually(lambda: link.client.read_to_end, "the proxy has read the end")
        else:
            client.reset()
            await eventually(lambda: link.client.gone, "the proxy knows of the reset")
        server.send(b"are you there")
        await eventually(lambda: link.bytes_lost == 13, "the server can still write")
        assert not server.reader.at_eof()
        assert server.reader.exception() is None
        assert proxied.proxy.links == [link]
        proxied.proxy.cut()
        assert await server.is_reset()
        await eventually(lambda: not proxied.proxy.links, "the link is over")


async def test_held_bytes_are_discarded_by_a_black_hole() -> None:
    async with proxied_server() as proxied:
        client, server, link = await proxied.pair()
        sent_up = await send_until_stuck(client)  # as the server does not read
        proxied.proxy.hold(up=False)
        sent_down = await send_until_stuck(server)
        proxied.proxy.blackhole()
        await eventually(lambda: client.waiting == server.waiting == 0, "both get rid of all")
        await eventually(lambda: link.bytes_lost + link.bytes_up == sent_up + sent_down, "it is lost or was on its way")
        assert link.bytes_down == 0
        assert link.bytes_up < sent_up


# Back-pressure


async def test_held_links_block_senders_and_lose_nothing() -> None:
    async with proxied_server() as proxied:
        client, server, link = await proxied.pair()
        proxied.proxy.hold()
        sent_up, sent_down = await send_until_stuck(client), await send_until_stuck(server)
        assert (link.bytes_up, link.bytes_down) == (0, 0)
        proxied.proxy.release()
        assert await server.receive(sent_up) == bytes(sent_up)
        assert await client.receive(sent_down) == bytes(sent_down)


async def test_one_link_and_one_direction_can_be_held() -> None:
    async with proxied_server() as proxied:
        client, server, link = await proxied.pair()
        other_client, other_server, _ = await proxied.pair()
        proxied.proxy.hold(link, up=False)
        server.send(b"held")
        client.send(b"passes")
        assert await server.receive(6) == b"passes"
        other_server.send(b"passes")
        assert await other_client.receive(6) == b"passes"
        assert link.bytes_down == 0
        proxied.proxy.release(link)
        assert await client.receive(4) == b"held"


async def test_the_end_of_a_held_stream_comes_after_it() -> None:
    async with proxied_server() as proxied:
        client, server, _ = await proxied.pair()
        proxied.proxy.hold()
        client.send(b"held")
        client.writer.write_eof()
        proxied.proxy.release()
        assert await server.rest() == b"held"
        proxied.proxy.hold()
        proxied.proxy.release()
        server.send(b"answer")
        assert await client.receive(6) == b"answer"


# Cuts and refusals


async def test_a_cut_resets_both_ends() -> None:
    async with proxied_server() as proxied:
        client, server, link = await proxied.pair()
        other_client, other_server, _ = await proxied.pair()
        proxied.proxy.cut(link)
        proxied.proxy.cut(link)
        assert await client.is_reset()
        assert await server.is_reset()
        await eventually(lambda: link not in proxied.proxy.links, "the link is over")
        other_client.send(b"spared")
        assert await other_server.receive(6) == b"spared"
        proxied.proxy.cut()
        assert await other_client.is_reset()


async def test_a_cut_in_order_delivers_all_bytes_read_before() -> None:
    async with proxied_server() as proxied:
        client, server, link = await proxied.pair()
        server.send(b"the end")
        await eventually(lambda: link.bytes_down == 7, "the proxy has it")
        proxied.proxy.cut(reset=False)
        assert await client.rest() == b"the end"
        assert await server.rest() == b""


async def test_refused_connections_are_reset_and_others_are_not() -> None:
    async with proxied_server() as proxied:
        client, server, link = await proxied.pair()
        proxied.proxy.refuse()
        assert await (await proxied.client()).is_reset()
        assert proxied.proxy.links == [link]
        client.send(b"spared")
        assert await server.receive(6) == b"spared"
        proxied.proxy.refuse(False)
        client, server, later = await proxied.pair()
        client.send(b"welcome")
        assert await server.receive(7) == b"welcome"
        assert later.index == 1
