"""The load generator, against the bare loop and Crosswire: what it counts, and what makes a run fail."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import AbstractContextManager

import pytest
from bench.native import BenchError, Serving, build, epoll_server, run_loadgen, run_together, uvicorn_server
from bench.peers.peers import PEERS
from bench.peers.works import Setup

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
SHORT = {"seconds": 0.5, "warmup": 0, "deadline": 30}


def crosswire(setup: Setup) -> AbstractContextManager[Serving]:
    return PEERS[0].start(setup)


def test_a_fanout_counts_deliveries_and_their_latency() -> None:
    with epoll_server() as serving:
        figures = run_loadgen("fanout", serving, clients=20, inflight=4, **SHORT)
    assert figures["deliveries"] > 0
    assert 0 < figures["p50_ms"] <= figures["p99_ms"]
    assert figures["bytes"] == len('{"event":"news","payload":{"text":""}}') + 60


def test_the_payload_has_the_size_that_was_asked_for() -> None:
    with epoll_server() as serving:
        for size in (64, 4096):
            figures = run_loadgen("fanout", serving, clients=5, inflight=2, size=size, **SHORT)
            assert figures["bytes"] == len('{"event":"news","payload":}') + size


def test_messages_in_many_rooms_reach_their_rooms_alone() -> None:
    with crosswire(Setup()) as serving:
        figures = run_loadgen("rooms", serving, clients=30, members=3, inflight=10, **SHORT)
        with pytest.raises(BenchError, match="whole rooms"):
            run_loadgen("rooms", serving, clients=31, members=3, inflight=1, **SHORT)
    assert figures["rooms"] == 10
    assert figures["deliveries"] >= 10
    assert figures["p50_ms"] <= figures["p99_ms"]


def test_compressed_messages_are_inflated_and_others_fail_the_run() -> None:
    options = {"clients": 5, "inflight": 2, "extensions": "permessage-deflate", "compressed": 1, **SHORT}
    with crosswire(Setup(compression=True)) as serving:
        figures = run_loadgen("fanout", serving, size=4096, **options)
        with pytest.raises(BenchError, match="not compressed"):  # too small to be worth it
            run_loadgen("fanout", serving, size=64, **options)
    assert figures["bytes"] < 0.6 * 4096


def test_clients_can_connect_by_tls() -> None:
    with crosswire(Setup(tls=True)) as serving:
        figures = run_loadgen("calls", serving, clients=5, inflight=2, tls=1, **SHORT)
        with pytest.raises(BenchError, match="lost its connection"):
            run_loadgen("calls", serving, clients=5, inflight=2, **SHORT)
    assert figures["answers"] > 0


def test_http_requests_are_counted_with_their_latency() -> None:
    with uvicorn_server() as serving:
        figures = run_loadgen("http", serving, clients=4, inflight=3, path="/", **SHORT)
    assert figures["requests"] > 0
    assert 0 < figures["p50_ms"] <= figures["p99_ms"]


def test_a_server_that_does_something_else_fails_the_run() -> None:
    with epoll_server() as serving, pytest.raises(BenchError, match=r"deadline|unknown packet|lost its connection"):
        run_loadgen("calls", serving, dialect="socket.io", clients=2, inflight=1, **{**SHORT, "deadline": 1})


def test_loads_that_run_together_are_both_measured() -> None:
    with epoll_server() as serving:
        few, many = run_together(
            serving,
            [("calls", {"clients": count, "inflight": 1, **SHORT}) for count in (3, 30)],
        )
    assert (few["clients"], many["clients"]) == (3, 30)
    assert few["answers"] > 0
    assert many["answers"] > 0


def test_a_load_fails_with_one_that_should_run_at_the_same_time() -> None:
    good, bad = {"clients": 3, "inflight": 1, **SHORT}, {"clients": 3, "inflight": 1, **SHORT, "juggle": 1}
    with epoll_server() as serving, pytest.raises(BenchError, match="there is no option --juggle"):
        run_together(serving, [("calls", good), ("calls", bad)])


def test_a_generator_waits_at_the_gate_until_it_is_opened() -> None:
    pipe = subprocess.PIPE
    with epoll_server() as serving:
        command = [str(build("loadgen")), "calls", "--port", str(serving.ports[0]), "--gate", "1", "--seconds", "0"]
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as waiting:
            assert waiting.stdout is not None
            assert waiting.stdout.readline() == "READY\n"
            output, errors = waiting.communicate()  # the gate is closed for ever
    assert (output, errors) == ("", "loadgen: the gate was not opened\n")
