"""Plots are SVG that a browser reads, for light and dark pages, and no text is on another."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from xml.etree import ElementTree

import pytest
from bench.peers.peers import PEERS
from bench.peers.plots import BARS_AT, LONGEST, WIDTH, Bar, Label, Panel, labels, picture
from bench.peers.summary import Spread
from bench.peers.works import WORKS

SVG = "{http://www.w3.org/2000/svg}"


def panel(*medians: float, title: str = "fan-out") -> Panel:
    bars = [Bar(f"peer {n}", Spread(m, m * 0.9, m * 1.2), f"{m:g}", is_ours=n == 0) for n, m in enumerate(medians)]
    return Panel(title, "µs for a delivery", bars)


def elements(panels: list[Panel], css: str) -> list[ElementTree.Element]:
    root = ElementTree.fromstring(picture(panels, "a <picture> & its title"))
    return [each for each in root.iter() if css in each.get("class", "").split()]


def overlap(one: Label, other: Label) -> bool:
    left, top, right, bottom = one.box
    other_left, other_top, other_right, other_bottom = other.box
    return left < other_right and other_left < right and top < other_bottom and other_top < bottom


def test_a_picture_is_well_formed_and_describes_itself() -> None:
    root = ElementTree.fromstring(picture([panel(1, 2)], "a <picture> & its title"))
    assert root.tag == f"{SVG}svg"
    assert root.findtext(f"{SVG}title") == "a <picture> & its title"


def test_both_colour_schemes_give_every_shape_its_colour() -> None:
    style = ElementTree.fromstring(picture([panel(1, 2)], "")).findtext(f"{SVG}style") or ""
    light, dark = style.split("@media (prefers-color-scheme: dark)")
    for css in ("text {", ".page {", ".unit {", ".bar {", ".ours {", ".whisker {", ".axis {", ".break {"):
        assert css in light
        assert css in dark


def test_bars_are_as_long_as_their_medians() -> None:
    widths = [float(bar.get("width", "")) for bar in elements([panel(10, 5, 1)], "bar")]
    assert widths[1] == pytest.approx(widths[0] / 2, abs=0.1)
    assert widths[2] == pytest.approx(widths[0] / 10, abs=0.1)


def test_the_longest_whisker_is_within_the_picture_and_ends_where_the_most_is() -> None:
    [bar] = elements([panel(10)], "bar")
    [whisker] = elements([panel(10)], "whisker")
    right = float(whisker.get("d", "").split("H")[1].split("M")[0])
    assert right == pytest.approx(BARS_AT + float(bar.get("width", "")) * 1.2, abs=0.2)
    assert right < WIDTH


def test_each_work_has_a_scale_of_its_own() -> None:
    bars = elements([panel(1000), panel(1)], "bar")
    assert bars[0].get("width") == bars[1].get("width")


def test_bars_that_are_far_longer_than_the_best_are_broken_and_leave_the_others_visible() -> None:
    panels = [panel(1, 2, 400)]
    widths = [float(bar.get("width", "")) for bar in elements(panels, "bar")]
    assert widths[0] * LONGEST == pytest.approx(widths[2], rel=0.01)
    assert len(elements(panels, "break")) == 1
    assert len(elements(panels, "whisker")) == 2
    assert "broken bars are longer" in panels[0].caption
    assert not elements([panel(1, 2, 10)], "break")


def test_no_bar_is_broken_where_more_is_better() -> None:
    panels = [replace(panel(1, 400), more_is_better=True)]
    assert not elements(panels, "break")
    assert panels[0].caption == "µs for a delivery: more is better"


def test_only_our_bar_stands_out() -> None:
    assert len(elements([panel(3, 2, 1)], "ours")) == 1


def test_figures_of_zero_can_be_drawn() -> None:
    ElementTree.fromstring(picture([panel(0, 0)], ""))


def test_no_text_is_on_another_and_none_is_cut_off() -> None:
    """Take the longest texts that there are: all titles of works, all names of peers, and large figures."""
    panels = [
        Panel(
            work.title,
            work.unit,
            [Bar(peer.title, Spread(123_456, 1, 123_456 + n), "1,234,567") for n, peer in enumerate(PEERS)],
        )
        for work in WORKS
    ]
    texts = labels(panels)
    assert len(texts) == len(WORKS) * (2 + 2 * len(PEERS))
    height = float(ElementTree.fromstring(picture(panels, "")).get("height", ""))
    for text in texts:
        left, top, right, bottom = text.box
        assert min(left, top) >= 0, text
        assert right <= WIDTH, text
        assert bottom <= height, text
    near = [(one, other) for one, other in combinations(texts, 2) if abs(one.y - other.y) < 40]
    assert [pair for pair in near if overlap(*pair)] == []


def test_texts_that_are_on_each_other_would_be_found() -> None:
    assert overlap(Label("one", 10, 20), Label("other", 12, 22))
    assert overlap(Label("left", 10, 20), Label("its right end is here", 30, 20, is_right=True))
    assert not overlap(Label("one", 10, 20), Label("below", 10, 40))
