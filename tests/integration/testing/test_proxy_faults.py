from __future__ import annotations

import asyncio

import pytest

from crosswire.testing.recorder import eventually
from tests.integration.testing.proxied import DEADLINE, Run, Setting, play, send_until_stuck

# Black holes


def test_a_black_hole_takes_all_and_ends_nothing(run: Run) -> None:
    async def script(made: Setting) -> None:
        client, server, link = await made.pair()
        client.send(b"before")
        await server.receive(6)
        made.proxy.blackhole()
        size = 32 * 1024 * 1024
        for sender in (client, server):
            sender.send(bytes(size))
        async with asyncio.timeout(DEADLINE):
            await client.writer.drain()
            await server.writer.drain()
        await eventually(lambda: link.bytes_lost == 2 * size, "all is lost")
        assert (link.bytes_up, link.bytes_down) == (6, 0)
        assert made.proxy.links == [link]
        made.proxy.cut(reset=False)
        assert (await client.rest(), await server.rest()) == (b"", b"")

    play(run, script)


def test_one_direction_can_be_a_black_hole(run: Run) -> None:
    async def script(made: Setting) -> None:
        client, server, link = await made.pair()
        made.proxy.blackhole(link, down=False)
        client.send(b"lost")
        await eventually(lambda: link.bytes_lost == 4, "it is lost")
        server.send(b"heard")
        assert await client.receive(5) == b"heard"
        client, server, link = await made.pair()
        made.proxy.blackhole(link, up=False)
        server.send(b"lost")
        await eventually(lambda: link.bytes_lost == 4, "it is lost")
        client.send(b"heard")
        assert await server.receive(5) == b"heard"

    play(run, script)


def test_a_black_hole_spares_other_links_and_those_made_later(run: Run) -> None:
    async def script(made: Setting) -> None:
        _, _, chosen = await made.pair()
        spared = await made.pair()
        made.proxy.blackhole(chosen)
        later = await made.pair()
        made.proxy.blackhole(later[2])
        latest = await made.pair()
        for client, server, _ in (spared, latest):
            client.send(b"hello")
            assert await server.receive(5) == b"hello"

    play(run, script)


@pytest.mark.parametrize("how", ["end", "reset"])
def test_an_end_is_lost_in_a_black_hole_too(run: Run, how: str) -> None:
    async def script(made: Setting) -> None:
        client, server, link = await made.pair()
        made.proxy.blackhole()
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
        assert made.proxy.links == [link]
        made.proxy.cut()
        assert await server.is_reset()
        await eventually(lambda: not made.proxy.links, "the link is over")

    play(run, script)


def test_what_was_held_or_stuck_falls_into_the_black_hole(run: Run) -> None:
    async def script(made: Setting) -> None:
        client, server, link = await made.pair()
        sent_up = await send_until_stuck(client)  # as the server does not read
        made.proxy.hold(up=False)
        sent_down = await send_until_stuck(server)
        made.proxy.blackhole()
        await eventually(lambda: client.waiting == server.waiting == 0, "both get rid of all")
        await eventually(lambda: link.bytes_lost + link.bytes_up == sent_up + sent_down, "it is lost or was on its way")
        assert link.bytes_down == 0
        assert link.bytes_up < sent_up

    play(run, script)


# Back-pressure


def test_held_links_hold_senders_back_and_lose_nothing(run: Run) -> None:
    async def script(made: Setting) -> None:
        client, server, link = await made.pair()
        made.proxy.hold()
        sent_up, sent_down = await send_until_stuck(client), await send_until_stuck(server)
        assert (link.bytes_up, link.bytes_down) == (0, 0)
        made.proxy.release()
        assert await server.receive(sent_up) == bytes(sent_up)
        assert await client.receive(sent_down) == bytes(sent_down)

    play(run, script)


def test_one_link_and_one_direction_can_be_held(run: Run) -> None:
    async def script(made: Setting) -> None:
        client, server, link = await made.pair()
        other_client, other_server, _ = await made.pair()
        made.proxy.hold(link, up=False)
        server.send(b"held")
        client.send(b"passes")
        assert await server.receive(6) == b"passes"
        other_server.send(b"passes")
        assert await other_client.receive(6) == b"passes"
        assert link.bytes_down == 0
        made.proxy.release(link)
        assert await client.receive(4) == b"held"

    play(run, script)


def test_the_end_of_a_held_stream_comes_after_it(run: Run) -> None:
    async def script(made: Setting) -> None:
        client, server, _ = await made.pair()
        made.proxy.hold()
        client.send(b"held")
        client.writer.write_eof()
        made.proxy.release()
        assert await server.rest() == b"held"
        made.proxy.hold()
        made.proxy.release()
        server.send(b"answer")
        assert await client.receive(6) == b"answer"

    play(run, script)


# Cuts and refusals


def test_a_cut_resets_both_ends(run: Run) -> None:
    async def script(made: Setting) -> None:
        client, server, link = await made.pair()
        other_client, other_server, _ = await made.pair()
        made.proxy.cut(link)
        made.proxy.cut(link)
        assert await client.is_reset()
        assert await server.is_reset()
        await eventually(lambda: link not in made.proxy.links, "the link is over")
        other_client.send(b"spared")
        assert await other_server.receive(6) == b"spared"
        made.proxy.cut()
        assert await other_client.is_reset()

    play(run, script)


def test_a_cut_in_order_delivers_what_was_taken(run: Run) -> None:
    async def script(made: Setting) -> None:
        client, server, link = await made.pair()
        server.send(b"the end")
        await eventually(lambda: link.bytes_down == 7, "the proxy has it")
        made.proxy.cut(reset=False)
        assert await client.rest() == b"the end"
        assert await server.rest() == b""

    play(run, script)


def test_refused_connections_are_reset_and_others_are_not(run: Run) -> None:
    async def script(made: Setting) -> None:
        client, server, link = await made.pair()
        made.proxy.refuse()
        assert await (await made.client()).is_reset()
        assert made.proxy.links == [link]
        client.send(b"spared")
        assert await server.receive(6) == b"spared"
        made.proxy.refuse(False)
        client, server, later = await made.pair()
        client.send(b"welcome")
        assert await server.receive(7) == b"welcome"
        assert later.index == 1

    play(run, script)
