from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import msgspec
import pytest

from crosswire.core.metric_families import MetricFamily, gauge, with_label
from crosswire.runtime.shared_metrics import SharedMetrics, _Written
from tests.support.aio import wait_until


def users_of(name: str, number: float = 1) -> list[MetricFamily]:
    return with_label([gauge("users", "who is there", number)], "node", name)


def shared(directory: Path, name: str, number: float = 1) -> SharedMetrics:
    return SharedMetrics(directory, lambda: name, lambda: users_of(name, number))


def told(metrics: SharedMetrics) -> tuple[dict[str, float], float]:
    """Return the users of each process, and the number of processes that are missing."""
    families = {family.name: family for family in metrics.families()}
    users = {sample.labels[0]: sample.value for sample in families["users"].samples}
    return users, families["crosswire_scrape_missing"].samples[0].value  # type: ignore[return-value]


def written_by(pid: int, name: str, directory: Path, *, age: float = 0) -> Path:
    file = directory / f"{name}.metrics"
    file.write_bytes(msgspec.msgpack.encode(_Written(pid, users_of(name))))
    os.utime(file, (time.time() - age, time.time() - age))
    return file


def dead_pid() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_who_is_asked_tells_the_metrics_of_all(tmp_path: Path) -> None:
    one, two = shared(tmp_path, "a/1"), shared(tmp_path, "b", 2)
    assert told(one) == ({"a/1": 1}, 0)
    assert told(two) == ({"a/1": 1, "b": 2}, 0)
    assert told(one) == ({"a/1": 1, "b": 2}, 0)


def test_a_process_that_hangs_is_missing_and_one_that_is_dead_is_forgotten(tmp_path: Path) -> None:
    ours = shared(tmp_path, "ours")
    hung, dead = written_by(os.getppid(), "hung", tmp_path, age=11), written_by(dead_pid(), "dead", tmp_path, age=11)
    written_by(dead_pid(), "restarting", tmp_path, age=1)
    assert told(ours) == ({"ours": 1, "restarting": 1}, 1)
    assert hung.exists()
    assert not dead.exists()


def test_what_is_no_metrics_is_missing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "x.metrics").write_bytes(b"nonsense")
    (tmp_path / "x.123").write_bytes(b"half of a file")
    assert told(shared(tmp_path, "ours")) == ({"ours": 1}, 1)
    assert "can't be read" in caplog.text


def test_a_directory_that_is_missing_is_made_for_this_user_alone(tmp_path: Path) -> None:
    directory = tmp_path / "run" / "metrics"
    assert told(shared(directory, "one")) == ({"one": 1}, 0)
    assert told(shared(directory, "two")) == ({"one": 1, "two": 1}, 0)
    assert directory.stat().st_mode & 0o777 == 0o700


def test_where_no_directory_can_be_a_process_tells_its_own_metrics(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert told(shared(tmp_path / "file" / "metrics", "ours")) == ({"ours": 1}, 0)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


async def test_where_no_directory_can_be_the_writing_ends_without_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    writing = asyncio.create_task(shared(tmp_path / "file" / "metrics", "ours").keep_written(0.001))
    await asyncio.sleep(0)
    writing.cancel()
    await asyncio.wait([writing])
    assert writing.cancelled()


def test_a_long_name_is_the_name_of_no_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    name = "聊天服务器" * 40
    assert told(shared(tmp_path, name)) == ({name: 1}, 0)
    assert told(shared(tmp_path, "other")) == ({name: 1, "other": 1}, 0)
    assert caplog.records == []


async def test_metrics_are_written_without_being_asked_for_and_removed_at_the_end(tmp_path: Path) -> None:
    one, two = shared(tmp_path, "one"), shared(tmp_path, "two")
    writing = asyncio.create_task(one.keep_written(0.001))
    await wait_until(lambda: told(two) == ({"one": 1, "two": 1}, 0))
    writing.cancel()
    await asyncio.wait([writing])
    assert told(two) == ({"two": 1}, 0)


def test_threads_take_turns_so_that_none_writes_over_what_is_newer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    numbers = count(1)
    ours = SharedMetrics(tmp_path, lambda: "ours", lambda: users_of("ours", next(numbers)))
    other = shared(tmp_path, "other")

    def scrape(_number: int) -> tuple[float, float]:
        return told(ours)[0]["ours"], told(other)[0]["ours"]

    with ThreadPoolExecutor(4) as threads:
        for own, read_after in threads.map(scrape, range(200)):
            assert read_after >= own
    assert caplog.records == []
