"""The code blocks of a Markdown page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[3]

NOT_RUN = "not-run"
"""The word after the language, in the fence of a block that is not run."""
SCRIPT_LANGUAGES = frozenset({"ts", "js"})
RUN_LANGUAGES = SCRIPT_LANGUAGES | {"python", "sh", "console"}
PARSED_LANGUAGES = frozenset({"ini", "toml", "yaml", "json", "nginx", "html", "dockerfile"})
TEXT_LANGUAGES = frozenset({"", "text", "mermaid"})
"""Languages of blocks that hold no code: output, pictures."""

_FENCE = re.compile(r"(?P<indent> *)```(?P<info>[^`\n]*)\n(?P<text>.*?)^(?P=indent)```[ ]*$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)


class Block(NamedTuple):
    """A code block.

    Attributes:
        page: path of the page in the repository.
        line: of the page, where the code begins; the first is 1.
        section: the heading above, without its backquotes.
        language: the first word of the fence.
        words: the other words of the fence.
        text: the code.
    """

    page: str
    line: int
    section: str
    language: str
    words: tuple[str, ...]
    text: str

    @property
    def place(self) -> str:
        """Where it is, as editors understand it."""
        return f"{self.page}:{self.line}"

    @property
    def is_code(self) -> bool:
        """Whether it is run or parsed."""
        return self.language not in TEXT_LANGUAGES and NOT_RUN not in self.words

    @property
    def file_name(self) -> str | None:
        """The name that its first line says, as in ``# chat.py``."""
        found = re.match(r"(?:#|//|;) ([\w./-]+\.\w+)\n", self.text)
        return found and found[1]


def blocks_of(page: str) -> list[Block]:
    """Return the code blocks of a page, in order."""
    text = (ROOT / page).read_text()
    fences = list(_FENCE.finditer(text))
    headings = [
        (match.start(), match[1].replace("`", ""))
        for match in _HEADING.finditer(text)
        if not any(fence.start() < match.start() < fence.end() for fence in fences)
    ]
    blocks = []
    for fence in fences:
        language, *words = fence["info"].split() or [""]
        section = next((heading for start, heading in reversed(headings) if start < fence.start()), "")
        code = re.sub(rf"^{fence['indent']}", "", fence["text"], flags=re.MULTILINE)
        line = text.count("\n", 0, fence.start("text")) + 1
        blocks.append(Block(page, line, section, language, tuple(words), code))
    return blocks


def pages() -> list[str]:
    """Return the pages whose code is run."""
    patterns = ("README.md", "CONTRIBUTING.md", "docs/*.md", "clients/js/*.md", "examples/**/*.md", "deploy/**/*.md")
    return [
        path.relative_to(ROOT).as_posix()
        for pattern in patterns
        for path in sorted(ROOT.glob(pattern))
        if "node_modules" not in path.parts
    ]


def module_of(page: str) -> str:
    """Return the name of the module in ``pages`` for a page: ``clients_js`` for clients/js/README.md."""
    stem = page.removesuffix(".md").removeprefix("docs/").removesuffix("/README")
    return stem.lower().replace("/", "_").replace("-", "_")
