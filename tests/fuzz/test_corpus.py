"""Replays the corpus of each target: what the fuzzer has found stays mended."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tests.fuzz.corpus import FOLDER, TARGETS, inputs
from tests.fuzz.target import Bounds, SteppedLoop

MAX_CORPUS = 300 * 1024
"""Bytes of all corpora, as they are in the repository."""


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_of_the_corpus_breaks_what_a_target_promises(name: str) -> None:
    target, bounds, failed = TARGETS[name](), Bounds(), list[str]()
    target.start()
    try:
        for file, data in inputs(name):
            try:
                bounds.run(target, data)
            except Exception as error:  # noqa: BLE001 - anything that escapes is a finding
                failed.append(f"{file}: {error!r}")
    finally:
        target.stop()
    assert not failed


def test_the_corpora_are_small_and_of_known_targets() -> None:
    files = [file for file in FOLDER.rglob("*") if file.is_file()]
    assert {file.parent.name for file in files} == set(TARGETS)
    assert sum(file.stat().st_size for file in files) < MAX_CORPUS


def test_a_target_leaves_the_log_of_the_process_as_it_was(caplog: pytest.LogCaptureFixture) -> None:
    loop = SteppedLoop(asyncio.new_event_loop)
    logger = logging.getLogger("crosswire.a_logger_that_is_asked_while_a_target_runs")
    logger.warning("not heard")
    loop.close()
    logger.warning("heard")
    assert [record.message for record in caplog.records] == ["heard"]
