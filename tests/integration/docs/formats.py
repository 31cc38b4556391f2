"""Checks of blocks that are not run, but must be well-formed."""

from __future__ import annotations

import configparser
import html.parser
import json
import re
import tomllib
from collections.abc import Callable

import yaml


def _ini(text: str) -> None:
    parser = configparser.RawConfigParser(strict=False)  # systemd may repeat a key
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    assert all(parser.items(section) for section in parser.sections())


def _nginx(text: str) -> None:
    """Check that each directive ends with a semicolon or a block, and each block with a brace."""
    without_comments = re.sub(r"(?m)(^|\s)#.*$", "", text)
    depth, words = 0, 0
    for token in re.findall(r"\"[^\"]*\"|'[^']*'|[{};]|[^\s{};]+", without_comments):
        if token in "{};":
            assert token == "}" or words, f"{token} without a directive"
            assert token != "}" or not words, "a directive without a semicolon"
            depth += (token == "{") - (token == "}")
            assert depth >= 0, "a brace too many"
            words = 0
        else:
            words += 1
    assert (depth, words) == (0, 0), "it ends in the middle"


def _dockerfile(text: str) -> None:
    joined = re.sub(r"\\\n", " ", re.sub(r"(?m)^\s*#.*\n", "", text))
    instructions = [line.split()[0] for line in joined.splitlines() if line.strip()]
    known = {"FROM", "RUN", "COPY", "ADD", "WORKDIR", "ENV", "ARG", "USER", "EXPOSE", "CMD", "ENTRYPOINT"}
    known |= {"HEALTHCHECK", "STOPSIGNAL", "LABEL", "VOLUME", "SHELL"}
    assert instructions
    assert set(instructions) <= known, set(instructions) - known


def _yaml(text: str) -> None:
    assert [each for each in yaml.safe_load_all(text) if each]


def _html(text: str) -> None:
    html.parser.HTMLParser().feed(text)


CHECKS: dict[str, Callable[[str], object]] = {
    "ini": _ini,
    "toml": tomllib.loads,
    "yaml": _yaml,
    "json": json.loads,
    "nginx": _nginx,
    "html": _html,
    "dockerfile": _dockerfile,
}
"""By the language of the block."""
