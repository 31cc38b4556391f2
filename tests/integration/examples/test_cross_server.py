"""examples/cross_server: its one command runs it, and each program does what its documentation says."""

from __future__ import annotations

import re

from tests.integration.examples.conftest import EmbeddedPlace
from tests.integration.examples.scripts import running

RUN = "examples/cross_server/run.py"
SERVER = "examples/cross_server/server.py"
SENDER = "examples/cross_server/sender.py"


def test_one_command_runs_the_example_to_its_end() -> None:
    with running(RUN, "--pace", "0.5") as run:
        run.wait_for(r"serverA \| Done")
        assert run.wait() == 0
    output = run.output
    assert "Traceback" not in output
    assert "The nodes are serverA, serverB, serverC, serverD" in output
    for name in ("serverA", "serverB", "serverC", "serverD"):
        assert f"{name} | serverA says: Hello everybody, I am serverA" in output
        assert (f"{name} | serverA says: Hello, all of you others" in output) == (name != "serverA")
    asked = r"serverA \|   (server.) answers: Hi serverA"
    streamed, gathered = output.split("Ask all, and wait for all answers")
    assert sorted(re.findall(asked, streamed)) == sorted(re.findall(asked, gathered))
    assert sorted(re.findall(asked, gathered)) == ["serverA", "serverB", "serverC", "serverD"]
    assert "Without an answer: nobody" in streamed
    assert "Complete: True" in gathered
    assert "Tea costs 3.2" in output
    assert "serverB refuses: UNKNOWN_ITEM, we don't sell dragon" in output
    assert "serverB refuses: INVALID_PAYLOAD, Object missing required field `item`" in output
    assert "there is no living node 'serverZ'" in output
    assert "{'serverB': 3.2}, missing: serverZ" in output


def test_the_programs_meet_in_whatever_order_they_are_started() -> None:
    with running(SENDER, "--servers", "1", "--pace", "0") as sender:
        sender.wait_for(r"^Waiting for servers: 0 of 1 are there$")
        with running(SERVER, "--name", "serverX") as server:
            server.wait_for(r"^serverA is there$")
            assert sender.wait() == 0
            sender.wait_for(r"^  serverX answers: Hi serverA, this is serverX$")
            server.wait_for(r"^serverA is gone: goodbye$")
            assert server.interrupt() == 0
            assert "Traceback" not in server.output + sender.output


def test_a_name_in_use_is_reported() -> None:
    with running(SERVER, "--name", "serverB") as first:
        first.wait_for(r"^embedded:cross-server works$")
        with running(RUN) as run:
            assert run.wait() == 1
            assert "there is a living node of the name 'serverB' already" in run.output
            assert "serverB ended with code 1, before the sender was done" in run.output
            assert "Traceback" not in run.output


def test_ctrl_c_ends_all_programs(place: EmbeddedPlace) -> None:
    with running(RUN, "--pace", "60") as run:
        run.wait_for(r"serverD \| serverA says: Hello everybody")
        assert run.interrupt() == 0
        assert run.output.endswith("Bye\n")
        assert "Traceback" not in run.output
        place.wait_until_left()


def test_no_process_outlives_a_killed_run(place: EmbeddedPlace) -> None:
    with running(RUN, "--pace", "60") as run:
        run.wait_for(r"serverD \| serverA says: Hello everybody")
        assert place.in_use
        run.stop()
        place.wait_until_left()
