"""examples/live_prices: a client that reads nothing for a while goes on with the newest prices, and is not dropped."""

from __future__ import annotations

from tests.integration.examples.scripts import running


def test_a_client_that_stops_goes_on_with_the_newest_prices() -> None:
    with running("examples/live_prices/server.py", "--port", "0") as server:
        port = server.wait_for(r"listening on ws://127\.0\.0\.1:(\d+)")[1]
        with running("examples/live_prices/client.py", "--port", port, "--stop-for", "4") as client:
            client.wait_for(r"Reading again")
            client.wait_for(r"Missed the prices of \d+ ticks, and went on with those of tick \d+")
            server.wait_for(r"Not sent to slow clients so far: \{.*'price': \d+")
            client.wait_for(r"(?s)Missed the prices.*The newest price is of tick \d+\n")
        assert "a connection is dropped" not in server.output
