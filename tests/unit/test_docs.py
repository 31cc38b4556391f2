"""README.md, docs/ and the other pages: links work, code compiles, and the two READMEs agree."""

from __future__ import annotations

import ast
import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from crosswire import Limits

ROOT = Path(__file__).parents[2]
PAGES = [
    page.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/*.md", "clients/js/*.md", "examples/**/*.md")
    for page in sorted(ROOT.glob(pattern))
]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)


def without_code(page: Path) -> str:
    return re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page; those of equal headings are numbered."""
    headings = re.findall(r"^#+ +(.+?) *$", without_code(page), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
    return {
        anchor if (before := plain[:place].count(anchor)) == 0 else f"{anchor}-{before}"
        for place, anchor in enumerate(plain)
    }


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page: str) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)|<img src=\"([^\"]+)\"", without_code(ROOT / page))
    paths = {(link or image).partition("#")[0] for link, image in links}
    broken = {path for path in paths if path and ":" not in path and not (ROOT / page).parent.joinpath(path).exists()}
    assert broken == set()


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_headings(page: str) -> None:
    links = re.findall(r"\]\(([^)\s#]*\.md)?#([^)\s]+)\)", without_code(ROOT / page))
    broken = {
        (path, anchor)
        for path, anchor in links
        if anchor not in anchors((ROOT / page).parent / path if path else ROOT / page)
    }
    assert broken == set()


@pytest.mark.parametrize("page", PAGES)
def test_code_blocks_of_python_compile(page: str) -> None:
    for block in blocks(page, "python"):
        compile(block, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_both_readmes_have_the_same_code_and_the_same_links() -> None:
    english, chinese = "README.md", "README.zh-CN.md"
    for language in ("python", "ts", "sh not-run"):
        without_comments = [
            [re.sub(r" +#.*", "", block) for block in blocks(page, language)] for page in (english, chinese)
        ]
        assert without_comments[0] == without_comments[1]
    links = [set(re.findall(r"\]\(((?!README)[^)]+)\)", (ROOT / page).read_text())) for page in (english, chinese)]
    assert links[0] == links[1]


@pytest.mark.parametrize("page", PAGES)
def test_extras_that_are_named_exist(page: str) -> None:
    named = re.findall(r"\b(?:crosswire|\.)\[([\w,]+)\]'", (ROOT / page).read_text())
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {extra for each in named for extra in each.split(",")} <= set(extras)


def test_the_main_pages_are_checked() -> None:
    assert {"README.md", "docs/guide.md", "clients/js/README.md"} <= set(PAGES)


@pytest.mark.parametrize("page", ["docs/architecture.md", "docs/where-to-change.md"])
def test_files_that_are_named_exist(page: str) -> None:
    named = set(re.findall(r"`((?:[\w*]+/)+(?:[\w*]+(?:\.\w+)?)?|\.importlinter)`", (ROOT / page).read_text()))
    assert len(named) > 30
    missing = {path for path in named if not any([*ROOT.glob(path), *(ROOT / "src/crosswire").glob(path)])}
    assert missing == set()


def tables(page: str) -> list[list[str]]:
    """Return the tables of a page as lists of lines."""
    found = re.findall(r"(?:^\|.*\n)+", without_code(ROOT / page), re.MULTILINE)
    return [table.splitlines() for table in found]


@pytest.mark.parametrize("page", PAGES)
def test_tables_are_whole(page: str) -> None:
    for head, rule, *rows in tables(page):
        assert re.fullmatch(r"(\|:?-+:?)+\|", rule.replace(" ", "")), head
        cells = rule.count("|")
        torn = [row for row in rows if len(re.findall(r"(?<!\\)\|", re.sub(r"`[^`]*`", "", row))) != cells]
        assert torn == []
        assert page == "docs/soak.md" or len(set(rows)) == len(rows)  # each flood there has the same rows


@pytest.mark.parametrize("page", PAGES)
def test_no_note_to_the_authors_is_left(page: str) -> None:
    notes = re.findall(r"<!--.*?-->", without_code(ROOT / page), re.DOTALL)
    assert [note for note in notes if "phases" not in note] == []


def test_no_section_of_the_security_page_is_there_twice() -> None:
    headings = re.findall(r"^#+ .*", without_code(ROOT / "docs/security.md"), re.MULTILINE)
    assert sorted(set(headings)) == sorted(headings)


@pytest.mark.parametrize(("page", "at_least"), [("docs/security.md", 80), ("docs/history.md", 15)])
def test_the_tests_that_are_named_exist(page: str, at_least: int) -> None:
    named = re.findall(r"`((?:tests/[\w/]+\.py)?)(?:::(\w+)(?:\[[^`]*\])?)?`", (ROOT / page).read_text())
    path, missing, found = "", [], 0
    for given, function in named:
        path = given or path
        if not given and not function:
            continue
        file = ROOT / path
        found += 1
        if not file.is_file() or (function and not re.search(rf"def {function}\(", file.read_text())):
            missing.append((path, function))
    assert missing == []
    assert found > at_least


def test_the_guide_has_every_limit() -> None:
    [table] = [table for table in tables("docs/guide.md") if "of `Limits`" in table[0]]
    named = {name for row in table[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named == {field.name for field in fields(Limits)}
