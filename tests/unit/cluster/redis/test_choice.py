from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest

from crosswire.cluster.redis.choice import STRATEGIES, Choice, make_choice

CHANNELS = [b"cw:r:4:chat%d" % index for index in range(20_000)]


@dataclass(eq=False)
class Server:
    id: str
    latency: float | None = None


def servers(count: int) -> list[Server]:
    return [Server(f"10.0.0.{index}:6379") for index in range(count)]


def chosen(choice: Choice[Server], channels: list[bytes] = CHANNELS) -> dict[bytes, tuple[str, ...]]:
    return {channel: tuple(each.id for each in choice.choose(channel)) for channel in channels}


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_a_choice_has_the_wanted_number_of_different_endpoints(strategy: str, copies: int, count: int) -> None:
    choice = make_choice(strategy, copies)
    choice.use(servers(count))
    for channel in CHANNELS[:50]:
        assert len({each.id for each in choice.choose(channel)}) == min(copies, count)
        assert len(choice.choose(channel)) == min(copies, count)


@pytest.mark.parametrize("count", [2, 3, 5, 8])
def test_hash_spreads_channels_evenly(count: int) -> None:
    choice = make_choice("hash", 1)
    choice.use(servers(count))
    found = Counter(id for (id,) in chosen(choice).values())
    fair = len(CHANNELS) / count
    assert all(0.9 * fair < number < 1.1 * fair for number in found.values()), found


def test_hash_makes_the_same_choice_whatever_the_order() -> None:
    one, other = make_choice("hash", 2), make_choice("hash", 2)
    one.use(servers(4))
    other.use(servers(4)[::-1])
    assert chosen(one) == chosen(other)


def test_hash_moves_only_the_channels_of_a_lost_endpoint_to_their_second_choice() -> None:
    one, two = make_choice("hash", 1), make_choice("hash", 2)
    everything = servers(4)
    one.use(everything)
    two.use(everything)
    before, ranked = chosen(one), chosen(two)
    one.use(everything[1:])
    after = chosen(one)
    lost = everything[0].id
    assert all(after[channel] == before[channel] for channel in CHANNELS if before[channel] != (lost,))
    assert all(after[channel] == ranked[channel][1:] for channel in CHANNELS if before[channel] == (lost,))


def test_hash_remembers_a_limited_number_of_channels() -> None:
    choice = make_choice("hash", 1)
    choice.use(servers(2))
    many = [b"%d" % index for index in range(70_000)]
    assert chosen(choice, many) == chosen(choice, many)


def test_round_robin_takes_turns() -> None:
    choice = make_choice("round-robin", 1)
    choice.use(servers(3))
    found = [choice.choose(b"same")[0].id for _ in range(6)]
    assert found == [each.id for each in servers(3)] * 2


def test_round_robin_spreads_both_copies() -> None:
    choice = make_choice("round-robin", 2)
    choice.use(servers(3))
    found = Counter(each.id for _ in range(30) for each in choice.choose(b"same"))
    assert set(found.values()) == {20}


def test_random_uses_every_endpoint() -> None:
    choice = make_choice("random", 1)
    choice.use(servers(3))
    found = Counter(choice.choose(b"same")[0].id for _ in range(3000))
    assert len(found) == 3
    assert min(found.values()) > 800


def test_fastest_follows_the_latencies() -> None:
    choice = make_choice("fastest", 2)
    slow, fast, unknown = Server("slow", 9.0), Server("fast", 1.0), Server("unknown")
    choice.use([unknown, slow, fast])
    assert choice.choose(b"any") == (fast, slow)
    slow.latency = 0.5
    choice.measured()
    assert choice.choose(b"any") == (slow, fast)


def test_only_hash_keeps_a_channel_on_its_endpoint() -> None:
    assert [name for name in STRATEGIES if make_choice(name, 1).ordered] == ["hash"]
