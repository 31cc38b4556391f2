"""examples/tic_tac_toe: its command, and its page."""

from __future__ import annotations

import asyncio
import shutil
import urllib.request

from tests.integration.docs.blocks import ROOT
from tests.integration.docs.page import Page


async def run(page: Page) -> None:
    shutil.copytree(ROOT / "examples" / "tic_tac_toe", page.directory / "examples" / "tic_tac_toe")
    with page.commands(page.take("Tic-tac-toe on two workers")) as workers:
        workers.wait_for("listening on port 9000: tic-tac-toe-1, tic-tac-toe-2", timeout=60)
        assert "<h1>Tic-tac-toe</h1>" in await asyncio.to_thread(_fetched)
        workers.interrupt()


def _fetched() -> str:
    with urllib.request.urlopen("http://localhost:9000", timeout=10) as answer:
        return str(answer.read(), "utf-8")
