from __future__ import annotations

import asyncio
import logging
import re
from contextvars import copy_context
from pathlib import Path
from typing import NamedTuple

import pytest

from crosswire.runtime.log_records import about, get_logger, node_name

SOURCES = Path(__file__).parents[3] / "src" / "crosswire"
ATTRIBUTES = ("user", "socket", "event", "node")
logger = get_logger("crosswire.test")


class FakeSocket(NamedTuple):
    user: str
    id: str


def attributes(record: logging.LogRecord) -> dict[str, object]:
    return {name: getattr(record, name) for name in ATTRIBUTES}


def test_every_record_has_all_attributes(caplog: pytest.LogCaptureFixture) -> None:
    logger.warning("a %s", "text")
    (record,) = caplog.records
    assert attributes(record) == dict.fromkeys(ATTRIBUTES)
    assert (record.name, record.getMessage(), record.filename) == ("crosswire.test", "a text", Path(__file__).name)
    line = logging.Formatter("%(node)s %(user)s %(message)s").format(record)
    assert line == "None None a text"


def test_what_is_known_is_given(caplog: pytest.LogCaptureFixture) -> None:
    socket = FakeSocket("13", "s1")
    logger.error("x", extra=about(socket, event="say", node="a"))
    logger.error("x", extra=about(socket) | {"code": 1000})
    first, second = caplog.records
    assert attributes(first) == {"user": "13", "socket": "s1", "event": "say", "node": "a"}
    assert attributes(second) == {"user": "13", "socket": "s1", "event": None, "node": None}
    assert second.__dict__["code"] == 1000


async def test_tasks_and_timers_of_a_node_have_its_name(caplog: pytest.LogCaptureFixture) -> None:
    done = asyncio.Event()

    def log() -> None:
        logger.warning("timer")
        done.set()

    async def start() -> None:
        node_name.set("a")
        asyncio.get_running_loop().call_later(0.001, log)

    await asyncio.create_task(start())
    logger.warning("outside")
    await asyncio.wait_for(done.wait(), 5)
    assert [(each.getMessage(), attributes(each)["node"]) for each in caplog.records] == [
        ("outside", None),
        ("timer", "a"),
    ]
    assert node_name not in copy_context()


def test_a_level_that_is_off_costs_no_record(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    logger.info("x", extra=about(event="say"))
    assert caplog.records == []


def test_all_loggers_make_single_lines() -> None:
    others = [
        path.relative_to(SOURCES).as_posix()
        for path in SOURCES.rglob("*.py")
        if re.search(r"logging\.getLogger\((?!\"crosswire\"\)\.setLevel)", path.read_text())
    ]
    assert others == ["runtime/one_line_records.py"]
