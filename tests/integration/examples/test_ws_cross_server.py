"""examples/ws_cross_server: its one command runs five servers and fifty clients, and checks the recipients."""

from __future__ import annotations

import re

from tests.integration.examples.conftest import EmbeddedPlace
from tests.integration.examples.scripts import running

RUN = "examples/ws_cross_server/run.py"
SERVER = "examples/ws_cross_server/server.py"
CLIENTS = "examples/ws_cross_server/clients.py"
CONTROL = "examples/ws_cross_server/control.py"


def test_one_command_runs_the_example_and_checks_the_recipients(place: EmbeddedPlace) -> None:
    with running(RUN, "--pace", "0") as run:
        run.wait_for(r"^Everybody got what was for them, and nothing else$")
        assert run.wait() == 0
        place.wait_until_left()
    output = run.output
    assert "Traceback" not in output
    assert "50 clients are in their rooms, on 5 servers" in output
    assert "50 of 50 clients got 'Hello everyone'" in output
    assert "1 of 1 clients got 'Hello 13'" in output
    assert "4 of 4 clients got 'Hello you four'" in output
    assert "10 of 10 clients got 'Hello room 1000'" in output
    assert "9 of 9 clients got 'Psst, not a word to 3'" in output
    assert "or twice" not in output

    heard = re.findall(r"clients \| Client (\d+) on port (\d+) got: (.*)", output)
    assert {user for user, _, text in heard if text == "Hello you four"} == {"3", "10", "25", "37"}
    assert len({port for _, port, text in heard if text == "Hello everyone"}) == 5
    assert len(heard) == 50 + 1 + 4 + 10 + 9


def test_a_failed_check_is_in_the_exit_code() -> None:
    with running(SERVER, "--port", "0") as server:
        port = server.wait_for(r"listening on ws://127\.0\.0\.1:(\d+)")[1]
        with running(CLIENTS, "--ports", port, "--clients", "2") as clients:
            clients.wait_for(r"^2 clients are in their rooms, on 1 servers")
            with running(CONTROL, "--port", port, "--clients", "3", "--pace", "0") as control:
                control.wait_for(r"2 of 3 clients got 'Hello everyone'")
                control.wait_for(r"0 of 1 clients got 'Hello 13'")
                control.wait_for(r"2 of 2 clients got 'Hello room 1000'")
                assert control.wait() == 1
            assert clients.interrupt() == 0
        assert server.interrupt() == 0
        assert "Traceback" not in server.output + clients.output + control.output


def test_no_process_outlives_a_killed_run(place: EmbeddedPlace) -> None:
    with running(RUN, "--pace", "60") as run:
        run.wait_for(r"control \| Said 'Hello everyone'")
        assert place.in_use
        run.stop()
        place.wait_until_left()
