"""The page docs/scaling.md has what `bench.scaling` prints, where it belongs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from bench.native import ROOT, BenchError
from bench.scaling import page
from bench.scaling.beats import Beats
from bench.scaling.calibration import RedisCosts
from bench.scaling.comparison import Compared, Pair
from bench.scaling.figures import Figures
from bench.scaling.memory import Memory
from bench.scaling.model import Costs, Shares, user_message
from bench.scaling.report import parts
from bench.scaling.under_load import UnderLoad

COSTS = Costs(
    say=70, tell=120, receive=100, deliver=6, publish=12, forward=9, apart=4, cold=0.008, beat=200, idle=0.001
)
FIGURES = Figures(
    date="2030-01-02",
    machine={"cpu": "a processor", "cores": "2"},
    redis={"Redis 9.8.7": RedisCosts(10, 4, 1, 0.4), "Valkey 9.8.6": RedisCosts(11, 5, 2, 0.5)},
    costs=COSTS,
    compared=[
        Compared("user to user", 2, Pair(0.5, 0.4), Pair(0.1, 0.1), Pair(300, 310), 0.02, [0.8, 0.9], [1.0, 1.0])
    ],
    idle={2: Shares(0.004, 0.001)},
    under_load=[UnderLoad("many", user_message(), 12.6, 0.5)],
    beats=[Beats(100, 198.0, 14.0, 0.003, 20.0), Beats(200, 142.0, 22.0, 0.003, 20.0)],
    memory=Memory(45e6, 4321.0),
)


def test_what_is_measured_is_written_in_its_place() -> None:
    assert page.filled("a\n{{ one }}\nb {{ two }}.", {"two": "\\2", "one": "1"}) == "a\n1\nb \\2."


@pytest.mark.parametrize("found", [{}, {"other": ""}, {"one": "", "other": ""}])
def test_a_page_without_a_place_for_a_part_or_with_one_too_many_is_refused(found: dict[str, str]) -> None:
    with pytest.raises(BenchError, match="one"):
        page.filled("{{ one }}", found)


def test_the_page_has_a_place_for_each_part(tmp_path: Path) -> None:
    file = tmp_path / "scaling.md"
    page.write(file, parts(FIGURES))
    assert "Redis 9.8.7" in file.read_text()
    assert page.is_filled(file.read_text(), page.TEMPLATE.read_text())


@pytest.mark.parametrize("text", ["a\n{{ one }}\nb", "a\n\nb", "a\n1\nb, by hand"])
def test_a_page_that_the_command_has_not_written_is_recognised(text: str) -> None:
    assert page.is_filled("a\n1\nb", "a\n{{ one }}\nb")
    assert not page.is_filled(text, "a\n{{ one }}\nb")


def test_the_text_of_the_documentation_is_that_of_the_template() -> None:
    assert page.is_filled((ROOT / "docs" / "scaling.md").read_text(), page.TEMPLATE.read_text())


def test_the_parts_have_what_was_measured() -> None:
    found = parts(FIGURES)
    assert found["machine"] == "Measured on 2030-01-02: cpu a processor, cores 2."
    assert (
        "| 2 | user to user | 50.0% | 40.0% | +25% | 10.0% | 10.0% | +0% | 300 | 310 | -3% | 2% |" in found["compared"]
    )
    assert "Of 3 predictions 2 are within 15%: the CPU of the nodes is off by 25% at most" in found["compared"]
    assert "| many | 126 | 12.6 | 25 | 0.50 |" in found["under-load"]
    assert "10.0 to 10.0 times less" in found["under-load"]
    assert "each idle connection in a room 4,321 bytes more: 20,000 of them 86 MB" in found["memory"]
    assert "| 100, each beating twice a second | 198 | 198 |" in found["beats"]
    assert "| 200 | 141 | 142 |" in found["beats"]


def test_plans_that_are_too_few_nodes_are_named() -> None:
    text = parts(FIGURES)["million"]
    assert "too few of these are: 20, 50; enough are: 200, 1,000." in " ".join(text.split())


def test_no_number_of_redis_is_enough_where_members_alone_fill_each() -> None:
    slow = replace(FIGURES, redis={"Redis 0.0.1": RedisCosts(10, 4, 500, 400)})
    assert "no number is enough" in parts(slow)["million"]


def test_all_figures_are_in_the_json() -> None:
    raw = FIGURES.raw()
    assert raw["machine"] == FIGURES.machine
    assert raw["compared"]
