"""Metrics of several processes that share a port: each writes its own into a directory, and who is asked reads all."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from threading import Lock

import msgspec

from crosswire.core.metric_families import Families, MetricFamily, gauge, merged
from crosswire.runtime.log_records import get_logger
from crosswire.runtime.throttled_warnings import ThrottledWarnings

METRICS_DIRECTORY = "CROSSWIRE_METRICS_DIR"
"""Environment variable with the directory that processes on one port share; ``crosswire serve --workers`` sets it."""
WRITE_INTERVAL = 2.0
"""Seconds after which a process writes its metrics again, if nobody asks it before."""
STALE_AFTER = 10.0
"""Seconds after which metrics that were not written again are left out: their process hangs."""
_SUFFIX = ".metrics"
_DIGEST_SIZE = 16
"""Bytes of the digest of a node's name in the name of its file."""

logger = get_logger("crosswire.metrics")


class _Written(msgspec.Struct, frozen=True, array_like=True):
    """Metrics of one process, as it has written them."""

    pid: int
    families: list[MetricFamily]


class SharedMetrics:
    """Metrics of this process and of all others that write into a directory.

    What was shown once of a process is never followed by something older: its metrics are always shown as they were
    written last, and this process writes its own before it shows them. So counters never go back. Threads take turns.

    Args:
        directory: of this user alone; made if it does not exist.
        name: returns the name of the node, under which its metrics are written.
        own: returns the metrics of this process.
        stale_after: seconds after which metrics count as missing.
    """

    __slots__ = ("_directory", "_lock", "_name", "_own", "_stale_after", "_warnings")

    def __init__(
        self, directory: Path, name: Callable[[], str], own: Families, stale_after: float = STALE_AFTER
    ) -> None:
        self._directory = directory
        self._name = name
        self._own = own
        self._stale_after = stale_after
        self._lock = Lock()
        self._warnings = ThrottledWarnings(logger)

    @property
    def _file(self) -> Path:
        digest = blake2b(self._name().encode(), digest_size=_DIGEST_SIZE).hexdigest()  # names can be longer than files'
        return self._directory / f"{digest}{_SUFFIX}"

    async def keep_written(self, interval: float = WRITE_INTERVAL) -> None:
        """Write the metrics again and again until cancelled, and remove them then."""
        try:
            while True:
                self._write()
                await asyncio.sleep(interval)
        finally:
            _remove(self._file)

    def families(self) -> list[MetricFamily]:
        """Return the metrics of all processes, and how many of them can't be told."""
        own = self._write()
        others, missing = self._others()
        text = "Processes on this port whose metrics are missing: they hang."
        return [*merged([own, *others]), gauge("crosswire_scrape_missing", text, missing)]

    def _write(self) -> list[MetricFamily]:
        with self._lock:
            return self._write_alone()

    def _write_alone(self) -> list[MetricFamily]:
        own, file = list(self._own()), self._file
        fresh = file.with_suffix(f".{os.getpid()}")  # so that nobody reads half of it
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh.write_bytes(msgspec.msgpack.encode(_Written(os.getpid(), own)))
            fresh.replace(file)
        except OSError as error:
            self._warnings.warn(
                "write", "metrics can't be written, so other processes on the port lack them: %s", error
            )
        return own

    def _others(self) -> tuple[list[list[MetricFamily]], int]:
        """Return what the other processes have written, and the number of those whose metrics are too old."""
        found: list[list[MetricFamily]] = []
        missing = 0
        for file, age in self._files():
            try:
                written = msgspec.msgpack.decode(file.read_bytes(), type=_Written)
            except FileNotFoundError:  # its process has just ended
                continue
            except (OSError, msgspec.MsgspecError) as error:
                self._warnings.warn("read", "the metrics of another process can't be read: %s", error)
                missing += 1
                continue
            if age <= self._stale_after:
                found.append(written.families)
            elif _is_alive(written.pid):
                missing += 1
            else:
                _remove(file)
        return found, missing

    def _files(self) -> Iterator[tuple[Path, float]]:
        """Yield the files of the other processes, and their ages in seconds."""
        now, ours = time.time(), self._file
        for file in sorted(self._directory.glob(f"*{_SUFFIX}")):
            try:
                if file != ours:
                    yield file, now - file.stat().st_mtime
            except FileNotFoundError:
                continue


def shared_directory() -> Path | None:
    """Return the directory that the environment names, or None."""
    named = os.environ.get(METRICS_DIRECTORY)
    return Path(named) if named else None


def _remove(file: Path) -> None:
    with suppress(OSError):  # it is gone, or could not be written either, which was logged
        file.unlink()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
