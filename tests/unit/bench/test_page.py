"""The page of a comparison has what was measured, and nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from bench.native import BenchError
from bench.peers.comparison import Comparison, read
from bench.peers.page import as_page, write
from bench.peers.peers import PEERS
from bench.peers.sections import SECTIONS
from bench.peers.works import WORKS

MACHINE = {"cpu": "a processor", "cores": "2", "load": "0.1", "crosswire": "9.8.7"}


def result(work: str, peer: str, *figures: float, figure: str = "cpu_us", **others: float) -> dict[str, Any]:
    runs = [{figure: each, **others} for each in figures]
    return {
        "work": work,
        "title": "",
        "unit": "",
        "figure": figure,
        "peer": peer,
        "runs": runs,
        "errors": [],
        "missing": "",
    }


def saved(folder: Path, name: str, *results: dict[str, Any], machine: dict[str, str] = MACHINE) -> Path:
    file = folder / name
    command = f"python -m bench.peers --json {name}"
    found = {"command": command, "date": "2030-01-02 03:04 UTC", "machine": machine, "results": results}
    file.write_text(json.dumps(found))
    return file


def page(*files: Path) -> str:
    return "\n".join(as_page(read(files), "python -m bench.peers --from one.json"))


def rows(text: str, title: str) -> list[list[str]]:
    """Return the cells of the table below the heading that begins so, without its head."""
    table = text.split(f"### {title}", 1)[1].split("\n\n")[1]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()][2:]


def test_a_row_has_the_median_of_the_runs_with_the_least_and_the_most(tmp_path: Path) -> None:
    file = saved(tmp_path, "one.json", result("fanout-1000", "crosswire", 3.25, 1.5, 2.75, p50_ms=0.25))
    assert rows(page(file), "fan-out to 1,000") == [
        ["Crosswire", "2.75 (1.50 to 3.25)", "0.25 (0.25 to 0.25)", ""],
    ]


def test_works_that_were_not_run_are_not_on_the_page(tmp_path: Path) -> None:
    text = page(saved(tmp_path, "one.json", result("calls-1", "crosswire", 5)))
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "# Benchmarks",
        "## Targets",
        "## Calls",
        "### calls, 100 clients, 1 in flight each (µs for an answer)",
        "## Machine and versions",
    ]


def test_a_peer_that_cannot_do_a_work_is_told(tmp_path: Path) -> None:
    file = saved(
        tmp_path,
        "one.json",
        result("fanout-1000", "c", 1),
        result("idle", "crosswire", 6000, figure="bytes_per_client"),
    )
    assert page(file).split("### memory of an idle", 1)[1].split("\n\n")[2] == "Cannot: bare epoll loop in C."


def test_failures_and_disturbances_are_told(tmp_path: Path) -> None:
    disturbed = result("fanout-100", "crosswire", 5, server_others=0.5, generator_busy=0.9)
    failed = result("fanout-100", "bun") | {"errors": ["it | broke\nat line 3"]}
    table = rows(page(saved(tmp_path, "one.json", disturbed, failed)), "fan-out to 100 clients")
    assert table[0][-2:] == ["90%", "disturbed by other processes"]
    assert table[1][-1] == "1 of 1 runs failed: it / broke"


def test_what_is_not_installed_is_told(tmp_path: Path) -> None:
    missing = result("fanout-100", "bun") | {"missing": "bun is not installed"}
    text = page(saved(tmp_path, "one.json", result("fanout-100", "crosswire", 5), missing))
    assert rows(text, "fan-out to 100 clients")[1] == ["Bun", "", "bun is not installed"]


def test_targets_are_ratios_of_medians(tmp_path: Path) -> None:
    ours = result("fanout-1000", "crosswire", 1.0, 9.0, 1.1)
    text = page(saved(tmp_path, "one.json", ours, result("fanout-1000", "bun", 0.5, 1.0, 2.0)))
    [row] = [line for line in text.splitlines() if "beside bun" in line]
    assert row.endswith("| at most 1.1 | 1.10 | met |")


def test_every_figure_of_the_tables_is_of_the_file(tmp_path: Path) -> None:
    text = page(saved(tmp_path, "one.json", result("calls-8", "crosswire", 7.77), result("calls-8", "bun", 7.79)))
    figures = {
        figure for line in text.splitlines() if line.startswith("| ") for figure in re.findall(r"\d+\.\d+", line)
    }
    assert figures == {"7.77", "7.79", "0.1", "1.00"} | {"9.8"}  # the load, the ratio of the target, a version


def test_commands_machine_and_versions_are_told(tmp_path: Path) -> None:
    text = page(saved(tmp_path, "one.json", result("calls-1", "crosswire", 5)))
    assert (
        "python -m bench.peers --json one.json  # 2030-01-02 03:04 UTC\npython -m bench.peers --from one.json" in text
    )
    assert "| crosswire | 9.8.7 |" in text


def test_slices_are_joined_and_a_work_comes_from_the_last_file_that_has_it(tmp_path: Path) -> None:
    first = saved(
        tmp_path,
        "one.json",
        result("calls-8", "crosswire", 1),
        result("calls-8", "bun", 2),
        result("calls-1", "bun", 3),
    )
    again = saved(tmp_path, "two.json", result("fanout-1000", "c", 4), result("calls-8", "crosswire", 5))
    joined = read([first, again])
    assert [(each.work.id, each.peer.name, each.runs[0]["cpu_us"]) for each in joined.results] == [
        ("fanout-1000", "c", 4),
        ("calls-8", "crosswire", 5),
        ("calls-1", "bun", 3),
    ]
    assert [command for command, _ in joined.commands] == [
        "python -m bench.peers --json one.json",
        "python -m bench.peers --json two.json",
    ]


def test_what_was_measured_with_other_versions_is_not_joined(tmp_path: Path) -> None:
    first = saved(tmp_path, "one.json", result("calls-8", "crosswire", 1))
    other = saved(tmp_path, "two.json", result("calls-1", "crosswire", 1), machine={**MACHINE, "crosswire": "9.9"})
    with pytest.raises(BenchError, match="another crosswire"):
        read([first, other])
    loaded = saved(tmp_path, "three.json", result("calls-1", "crosswire", 1), machine={**MACHINE, "load": "7"})
    assert len(read([first, loaded]).results) == 2


def test_a_comparison_is_read_as_it_was_written(tmp_path: Path) -> None:
    comparison = read([saved(tmp_path, "one.json", result("calls-8", "crosswire", 1.5, 2.5), result("idle", "bun", 3))])
    comparison.write(tmp_path / "again.json")
    assert read([tmp_path / "again.json"]) == comparison


def test_an_unknown_work_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="juggling"):
        read([saved(tmp_path, "one.json", result("juggling", "crosswire", 1))])


def test_plots_are_written_beside_the_page_and_stale_ones_go(tmp_path: Path) -> None:
    comparison = read([saved(tmp_path, "one.json", result("calls-8", "crosswire", 7.77), result("idle", "bun"))])
    plots = tmp_path / "benchmarks"
    plots.mkdir()
    (plots / "old.svg").write_text("")
    write(comparison, "make bench-peers", tmp_path / "benchmarks.md")
    assert [plot.name for plot in plots.iterdir()] == ["calls.svg"]  # nothing was measured of the idle one
    assert "7.77" in (plots / "calls.svg").read_text()
    assert re.findall(r"\]\((benchmarks/.*)\)", (tmp_path / "benchmarks.md").read_text()) == ["benchmarks/calls.svg"]


def test_the_original_is_shown_like_the_others_where_it_was_measured(tmp_path: Path) -> None:
    tells = (result("nodes-tell", "crosswire", 5.5), result("nodes-tell", "original", 27.5))
    machine = MACHINE | {"websocket-cross-server-adapter": "1.0.7, from a folder of commit 0123456789ab"}
    write(read([saved(tmp_path, "one.json", *tells, machine=machine)]), "", tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text()
    assert rows(text, "two nodes and Redis: user to user")[1] == [
        "websocket-cross-server-adapter",
        "27.50 (27.50 to 27.50)",
        "",
    ]
    assert "beside original | at most 0.22 | 0.20 | met |" in text
    assert "| websocket-cross-server-adapter | 1.0.7, from a folder of commit 0123456789ab |" in text
    assert ">websocket-cross-server-adapter<" in (tmp_path / "benchmarks" / "nodes.svg").read_text()


def test_targets_beside_the_original_are_not_measured_where_it_is_not_installed(tmp_path: Path) -> None:
    missing = result("nodes-tell", "original") | {"missing": "websocket-cross-server-adapter is not installed"}
    write(
        read([saved(tmp_path, "one.json", result("nodes-tell", "crosswire", 5.5), missing)]), "", tmp_path / "page.md"
    )
    text = (tmp_path / "page.md").read_text()
    assert rows(text, "two nodes and Redis: user to user")[1][-1] == "websocket-cross-server-adapter is not installed"
    assert "beside original | at most 0.22 | — | not measured |" in text
    assert "websocket-cross-server-adapter" not in (tmp_path / "benchmarks" / "nodes.svg").read_text()


def test_the_best_is_on_top_of_a_plot(tmp_path: Path) -> None:
    fast = (
        result("connects", "crosswire", 9000, figure="per_second"),
        result("connects", "bun", 12000, figure="per_second"),
    )
    write(read([saved(tmp_path, "one.json", *fast)]), "", tmp_path / "page.md")
    plot = (tmp_path / "benchmarks" / "connections.svg").read_text()
    assert plot.index(">Bun<") < plot.index(">Crosswire<")


def test_each_work_is_in_one_section() -> None:
    works = [work for section in SECTIONS for work in section.works]
    assert sorted(works) == sorted(work.id for work in WORKS)


def test_names_of_works_and_peers_are_unique() -> None:
    for names in ([work.id for work in WORKS], [peer.name for peer in PEERS], [section.name for section in SECTIONS]):
        assert len(set(names)) == len(names)


def test_nothing_can_be_joined_of_no_file() -> None:
    with pytest.raises(BenchError):
        read([])


def test_only_one_command_is_written_to_a_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unpack"):
        Comparison([("one", ""), ("two", "")], MACHINE).write(tmp_path / "file.json")
