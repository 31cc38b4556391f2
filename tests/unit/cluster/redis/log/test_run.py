"""The run of a Redis, read from what it tells of itself."""

from __future__ import annotations

import pytest

from crosswire.cluster.redis.link import Denied, Unreachable
from crosswire.cluster.redis.log.run import Run


def run_of(process: str, replication: str) -> bytes:
    run = Run()
    run.take_server(f"# Server\r\nredis_version:7.0.15\r\nrun_id:{process}\r\n".encode())
    run.take_replication(f"# Replication\r\nrole:master\r\nmaster_replid:{replication}\r\n".encode())
    return run.name


def test_a_run_is_that_of_a_process_and_its_replication() -> None:
    assert run_of("a", "b") == run_of("a", "b")
    assert len({run_of("a", "b"), run_of("a", "c"), run_of("c", "b")}) == 3


def test_a_replica_is_no_holder() -> None:
    with pytest.raises(Unreachable, match="no master but a slave"):
        Run().take_replication(b"role:slave\r\nmaster_replid:1\r\n")


@pytest.mark.parametrize("reply", [b"", b"run_id:\r\n", 5, [b"run_id:5"]])
def test_an_answer_without_an_id_makes_it_unusable(reply: object) -> None:
    with pytest.raises(Unreachable, match="run_id"):
        Run().take_server(reply)


def test_an_error_is_a_refusal_unless_it_passes() -> None:
    with pytest.raises(Denied, match="NOPERM"):
        Run().take_server(ValueError("NOPERM no permissions to run the 'info' command"))
    with pytest.raises(Unreachable) as error:
        Run().take_server(ValueError("LOADING Redis is loading the dataset in memory"))
    assert not isinstance(error.value, Denied)
