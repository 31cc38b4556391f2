"""Every code block of README.md, docs/ and the other pages runs as it is written."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.docs import isolation, node
from tests.integration.docs.blocks import (
    NOT_RUN,
    PARSED_LANGUAGES,
    ROOT,
    RUN_LANGUAGES,
    SCRIPT_LANGUAGES,
    TEXT_LANGUAGES,
    blocks_of,
    pages,
)
from tests.integration.docs.not_run import REASONS

Runs = dict[str, Future[subprocess.CompletedProcess[str]]]
_PAGE_TIMEOUT = 280.0
"""Seconds for all code of a page."""
_PAGES = [page for page in pages() if any(block.is_code for block in blocks_of(page))]
_ALL_BLOCKS = [block for page in pages() for block in blocks_of(page)]


def _run(page: str, scripts: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.integration.docs.run_page", page, str(scripts)]
    return subprocess.run(
        isolation.isolated(command),
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "120"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_PAGE_TIMEOUT,
        check=False,
    )


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scripts")


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, scripts: Path) -> Iterator[Runs]:
    """The runs of the pages that are asked for, two at a time."""
    chosen = [
        str(item.callspec.params["page"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.path == request.path and "page" in item.fixturenames
    ]
    with ThreadPoolExecutor(max_workers=2) as workers:
        yield {page: workers.submit(_run, page, scripts) for page in chosen}
        workers.shutdown(cancel_futures=True)


@pytest.mark.timeout(300)
@pytest.mark.skipif(
    isolation.obstacle() is not None, reason=f"no network of its own for a page: {isolation.obstacle()}"
)
@pytest.mark.parametrize("page", _PAGES)
def test_the_code_of_a_page_runs(page: str, runs: Runs) -> None:
    if any(block.language in SCRIPT_LANGUAGES for block in blocks_of(page)) and (obstacle := node.obstacle()):
        pytest.skip(obstacle)
    done = runs[page].result()
    assert done.returncode == 0, done.stdout


@pytest.mark.timeout(300)
def test_the_scripts_of_the_pages_fit_the_types_of_the_client(scripts: Path, runs: Runs) -> None:
    for run in runs.values():
        run.result()
    if not any(scripts.iterdir()):
        pytest.skip("no script was run")
    assert node.check_types(scripts) == ""


def test_each_block_has_a_language_that_is_run_or_parsed_or_is_no_code() -> None:
    known = RUN_LANGUAGES | PARSED_LANGUAGES | TEXT_LANGUAGES
    assert [block.place for block in _ALL_BLOCKS if block.language not in known and NOT_RUN not in block.words] == []


def test_each_block_that_is_not_run_has_a_reason() -> None:
    marked = [(block.page, block.section) for block in _ALL_BLOCKS if NOT_RUN in block.words]
    assert sorted(set(marked)) == sorted(REASONS)
