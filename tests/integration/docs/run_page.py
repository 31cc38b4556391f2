"""Runs one page: ``python -m tests.integration.docs.run_page docs/guide.md``, in isolation."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from pathlib import Path

from tests.integration.docs import isolation
from tests.integration.docs.page import Page
from tests.support import aio

PAGES = "tests.integration.docs.pages"


def module_of(page: str) -> str:
    """Return the name of the module in ``pages`` for a page: ``clients_js`` for clients/js/README.md."""
    stem = page.removesuffix(".md").removeprefix("docs/").removesuffix("/README")
    return stem.lower().replace("/", "_").replace("-", "_")


async def run(page: Page, name: str) -> None:
    """Run the code of a page, and check that all of it was run."""
    module = f"{PAGES}.{module_of(name)}"
    if importlib.util.find_spec(module) is None:
        await page.run()
    else:
        await importlib.import_module(module).run(page)
    page.check()


def main(name: str) -> None:
    """Run a page in a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="cw") as temporary:
        isolation.set_up(Path(temporary))
        directory = Path(temporary, "page")
        directory.mkdir()
        os.chdir(directory)
        os.environ["TMPDIR"] = temporary
        sys.path.insert(0, str(directory))
        aio.run(run(Page(name, directory), name))


if __name__ == "__main__":
    main(sys.argv[1])
