from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.logs import PUBLISHED, RECEIVED, read_published, read_received


def test_a_record_that_a_killed_process_half_wrote_is_left_out(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(PUBLISHED.pack(7, 0, 1.5) + PUBLISHED.pack(7, 1, 2.5)[:-1])
    assert read_published([log]) == {7: [1.5]}


def test_numbers_that_do_not_count_up_are_refused(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(PUBLISHED.pack(7, 0, 1.5) + PUBLISHED.pack(7, 2, 2.5))
    with pytest.raises(ValueError, match="number 2 of stream 7 comes after 0"):
        read_published([log])


def test_arrivals_are_kept_apart_by_client_and_stream(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(RECEIVED.pack(1, 7, 0, 1.5) + RECEIVED.pack(2, 7, 0, 1.75) + RECEIVED.pack(1, 7, 1, 2.5))
    received = read_received(log)
    assert {key: list(of.numbers) for key, of in received.items()} == {(1, 7): [0, 1], (2, 7): [0]}
    assert list(received[1, 7].times) == [1.5, 2.5]
