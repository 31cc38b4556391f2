"""Runs one page, in isolation: ``python -m tests.integration.docs.run_page PAGE DIRECTORY``.

The directory is for its scripts in TypeScript and JavaScript.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from pathlib import Path

from tests.integration.docs import isolation
from tests.integration.docs.blocks import module_of
from tests.integration.docs.page import Page
from tests.support import aio

PAGES = "tests.integration.docs.pages"


async def run(page: Page, name: str) -> None:
    """Run the code of a page, and check that all of it was run."""
    module = f"{PAGES}.{module_of(name)}"
    if importlib.util.find_spec(module) is None:
        await page.run()
    else:
        await importlib.import_module(module).run(page)
    page.check()


def main(name: str, scripts: str) -> None:
    """Run a page in a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="cw") as temporary:
        isolation.set_up(Path(temporary))
        directory = Path(temporary, "page")
        directory.mkdir()
        os.chdir(directory)
        os.environ["TMPDIR"] = temporary
        sys.path.insert(0, str(directory))
        aio.run(run(Page(name, directory, Path(scripts)), name))


if __name__ == "__main__":
    main(*sys.argv[1:])
