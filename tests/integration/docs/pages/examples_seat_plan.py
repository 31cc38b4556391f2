"""examples/seat_plan: its tests pass, and the bug is found."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys

from tests.integration.docs.blocks import ROOT
from tests.integration.docs.page import Page


async def run(page: Page) -> None:
    shutil.copytree(ROOT / "examples" / "seat_plan", page.directory / "examples" / "seat_plan")
    shutil.copy(ROOT / "pyproject.toml", page.directory)
    command = page.take("A bug that a seed finds", "sh").text.split()
    assert command[:3] == ["python", "-m", "pytest"]
    # As it is written, but without noting the lines that are executed: that would take too long. And without a plugin
    # that the settings of the repository need, and that those who have `crosswire[testing]` alone don't have.
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, *command[1:], "-p", "no:timeout"],
        cwd=page.directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "2 passed" in done.stdout, done.stdout
    await page.run()
    assert "AssertionError" in str(page["failing"])
