"""The runner of the pages notices code that fails, that is not run, and that prints something else."""

from __future__ import annotations

import configparser
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.integration.docs import blocks, console, executed_lines, formats, isolation
from tests.integration.docs.blocks import ROOT, Block, blocks_of
from tests.integration.docs.page import Page
from tests.integration.docs.run_page import run
from tests.support import aio

_PAGE = """# Page

```python
# greeting.py
def greet():
    return "hello"
```

- in a list:

  ```sh
  test "$(python -c 'import greeting; print(greeting.greet())')" = hello
  ```

```
no code
```
"""
_WRONG = (AssertionError, ValueError, configparser.Error, yaml.YAMLError)
needs_isolation = pytest.mark.skipif(isolation.obstacle() is not None, reason="pages can't be isolated here")


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for module in (blocks, executed_lines):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    path = tmp_path / "page.md"
    path.write_text(_PAGE)
    return path


@needs_isolation
def test_a_page_runs_whose_lines_are_executed_in_another_process(page: Path) -> None:
    command = [sys.executable, "-m", "tests.integration.docs.run_page", str(page), str(page.parent)]
    program = isolation.isolated(command)
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def traced() -> Iterator[None]:
    """Trace functions as before the test when it has ended."""
    before = sys.gettrace()
    yield
    threading.settrace(None)
    sys.settrace(before)


@pytest.mark.parametrize(
    ("right", "wrong", "report"),
    [
        ('"hello"', '"hi"', ":12 ends with 1"),
        ("import greeting; print(greeting.greet())", 'print("hello")', ":6 return"),
        ("def greet", "1 / 0\n\ndef greet", 'page.md", line 5, in <module>\n    1 / 0'),
        ("  ```sh\n", "  ```console\n  $ echo hello\n", "prints\nhello\n\ninstead of"),
    ],
)
@pytest.mark.usefixtures("traced")
def test_a_page_fails(page: Path, right: str, wrong: str, report: str) -> None:
    page.write_text(_PAGE.replace(right, wrong))
    directory = page.parent / "page"
    directory.mkdir()
    with pytest.raises((AssertionError, ZeroDivisionError)) as failed:
        aio.run(run(Page("page.md", directory, page.parent), "page.md"))
    assert report in "".join(traceback.format_exception(failed.value))


def test_blocks_have_places_sections_and_words(page: Path) -> None:
    page.write_text(page.read_text().replace("```python", "```python not-run"))
    python, shell, text = blocks_of("page.md")
    assert python == Block("page.md", 4, "Page", "python", ("not-run",), python.text)
    assert python.file_name == "greeting.py"
    assert [block.is_code for block in (python, shell, text)] == [False, True, False]
    assert shell.text.startswith("test ")


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("NODE UP\nchat-1  8s\n", "NODE    UP\nchat-1  3h 12m\n", True),
        ("chat-1  8s", "chat-2  8s", False),
        ("took 0.3 ms", "took 12 ms", True),
        ("0faed5276f1ba1cd", "53140405b4fe9651", True),
        ("0faed5276f1ba1cd", "53140405b4fe965", False),
        ("first\n...\nlast", "first\nmore\nand more\nlast", True),
        ("first\n...\nlast", "first\nmore", False),
        ('{"cents":250}', '{"cents":251}', False),
    ],
)
def test_output_of_a_console_is_compared(expected: str, printed: str, same: bool) -> None:
    assert console.matches(expected, printed) is same


def test_a_console_has_commands_and_their_output() -> None:
    assert console.commands("$ one\n1\n2\n$ two \\\n> and more\n") == [("one", "1\n2\n"), ("two \\\nand more", "")]


@pytest.mark.parametrize(
    ("language", "right", "wrong"),
    [
        ("ini", "[Service]\nUser=chat\n", "User=chat\n"),
        ("nginx", "server {\n  listen 443 ssl;  # the port\n}\n", "server {\n  listen 443 ssl\n}\n"),
        ("nginx", "proxy_set_header Forwarded '';\n", "server { listen 80;\n"),
        ("yaml", "a: [1]\n", "a: [1\n"),
        ("json", "{}", "{a: 1}"),
        ("toml", "a = 1\n", "a: 1\n"),
        ("dockerfile", "FROM python:3.11\nRUN pip install . \\\n  && true\n", "FORM python\n"),
    ],
)
def test_formats_are_parsed(language: str, right: str, wrong: str) -> None:
    formats.CHECKS[language](right)
    with pytest.raises(_WRONG):
        formats.CHECKS[language](wrong)
