"""The Grafana dashboard and the page about metrics name what a real server tells, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crosswire.testing.redis_process import RedisProcess
from tests.integration.server.support import make_server
from tests.support.scrapes import Scrape, scrape

ROOT = Path(__file__).parents[3]
DASHBOARD = ROOT / "deploy/grafana/crosswire.json"
PAGE = ROOT / "docs/observability.md"
SUFFIXES = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_count", "_sum"]}


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisProcess]:
    with RedisProcess() as process:
        yield process


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for each in dashboard["panels"] if each["type"] != "row"]


def series_of(now: Scrape) -> set[str]:
    """Return the names that a query may use."""
    return {f"{name}{suffix}" for name, kind in now.kinds.items() for suffix in SUFFIXES[kind]}


async def test_every_metric_is_in_the_dashboard_and_on_the_page(
    redis: RedisProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSSWIRE_METRICS_DIR", str(tmp_path))
    server = make_server(metrics=True, redis=redis.url)
    async with server:
        now = await scrape(server.port)
    queried = set(re.findall(r"crosswire_\w+", DASHBOARD.read_text()))
    assert queried - series_of(now) == set()
    assert {name for name in now.kinds if not any(each.startswith(name) for each in queried)} == set()
    documented = set(re.findall(r"`(crosswire_\w+)[{`]", PAGE.read_text())) - {"crosswire_scrape_missing"}
    told = {f"{name}_total" if kind == "counter" else name for name, kind in now.kinds.items()}
    assert documented == told - {"crosswire_scrape_missing"}


def test_the_dashboard_can_be_imported() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    assert dashboard["schemaVersion"] >= 36
    assert [each["name"] for each in dashboard["templating"]["list"]] == ["datasource", "node"]
    ids = [each["id"] for each in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    for panel in panels(dashboard):
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        for target in panel["targets"]:
            expression = target["expr"]
            assert expression.count("(") == expression.count(")")
            assert expression.count("{") == expression.count("}")
            assert 'node=~"$node"' in expression or "crosswire_scrape_missing" in expression


def test_no_panels_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
