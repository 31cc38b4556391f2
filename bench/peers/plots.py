"""Plots of results as SVG: horizontal bars with whiskers, for light and dark pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from bench.peers.summary import Spread

WIDTH = 760.0
MARGIN = 16.0
BAR, GAP = 16.0, 7.0
"""Height of a bar, and of the space below it."""
TITLE_ROW, UNIT_ROW, PANEL_GAP = 18.0, 22.0, 20.0
FONT, SMALL = 12.0, 11.0
"""Sizes of the text, in pixels."""
LETTER = 0.62
"""Width of a letter, as a share of the size: more than that of the usual fonts on average."""
BARS_AT = 250.0
"""Where bars begin; names are on the left of it."""
BARS_END = 660.0
"""Where the longest whisker ends; figures are behind the whiskers."""
CAP = 3.0
"""Half the height of a whisker's ends."""
LONGEST = 16
"""Length of the longest bar beside the shortest one, where less is better: what is longer is broken."""
BREAK = 28.0
"""Distance of a break from the end of its bar."""

STYLE = """
  text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; fill: #1f2328 }
  .page { fill: #ffffff; stroke: #d1d9e0 }
  .title { font-weight: 600 }
  .unit { fill: #59636e }
  .bar { fill: #afb8c1 }
  .ours { fill: #0969da }
  .own { font-weight: 600 }
  .whisker { stroke: #1f2328; fill: none }
  .axis { stroke: #d1d9e0 }
  .break { stroke: #ffffff; stroke-width: 4 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .page { fill: #0d1117; stroke: #3d444d }
    .unit { fill: #9198a1 }
    .bar { fill: #656c76 }
    .ours { fill: #4493f8 }
    .whisker { stroke: #f0f6fc }
    .axis { stroke: #3d444d }
    .break { stroke: #0d1117 }
  }
"""
"""Colours of both schemes: the page that shows the picture decides."""


@dataclass(frozen=True, slots=True)
class Bar:
    """Figure of one peer.

    Attributes:
        name: what is on the left of it.
        spread: median, whose length the bar has, and the ends of the whisker.
        label: what is behind it: the figure with its unit.
        is_ours: whether it stands out.
    """

    name: str
    spread: Spread
    label: str
    is_ours: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """Bars of one work, which share a scale.

    Attributes:
        title: what was done.
        unit: what the figures count.
        bars: bars from the top.
        more_is_better: whether the longest is the best; if not, those that are far too long are broken.
    """

    title: str
    unit: str
    bars: Sequence[Bar]
    more_is_better: bool = False

    @property
    def longest(self) -> float:
        """Return the figure at the right end: the most, unless bars are broken."""
        most = max(bar.spread.most for bar in self.bars)
        shortest = min(bar.spread.median for bar in self.bars)
        return most if self.more_is_better or not shortest else min(most, LONGEST * shortest)

    def is_broken(self, bar: Bar) -> bool:
        """Return whether a bar is longer than there is room for."""
        return bar.spread.most > self.longest

    @property
    def caption(self) -> str:
        """Return the unit, and how to read the bars."""
        better = "more is better" if self.more_is_better else "less is better"
        broken = "; broken bars are longer than shown" if any(map(self.is_broken, self.bars)) else ""
        return f"{self.unit}: {better}{broken}"

    @property
    def height(self) -> float:
        """Return its height in pixels."""
        return TITLE_ROW + UNIT_ROW + len(self.bars) * (BAR + GAP)


@dataclass(frozen=True, slots=True)
class Label:
    """Text in a picture, from its left or to its right end, on a baseline."""

    text: str
    x: float
    y: float
    size: float = FONT
    css: str = ""
    is_right: bool = False

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Return its left, top, right and bottom, the width being an upper estimate."""
        width = len(self.text) * self.size * LETTER
        left = self.x - width if self.is_right else self.x
        return left, self.y - self.size, left + width, self.y + self.size * 0.25

    def svg(self) -> str:
        """Return its element."""
        anchor = ' text-anchor="end"' if self.is_right else ""
        css = f' class="{self.css}"' if self.css else ""
        return f'<text x="{self.x:g}" y="{self.y:g}" font-size="{self.size:g}"{anchor}{css}>{escape(self.text)}</text>'


def picture(panels: Sequence[Panel], description: str) -> str:
    """Return the SVG of some panels, one below the other.

    Args:
        panels: works, each with its own scale.
        description: text for readers who do not see it.
    """
    height = _height(panels)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {height:g}" width="{WIDTH:g}" '
        f'height="{height:g}" role="img">',
        f"<title>{escape(description)}</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="page" x="0.5" y="0.5" width="{WIDTH - 1:g}" height="{height - 1:g}" rx="6"/>',
    ]
    for panel, top in _placed(panels):
        lines += _shapes(panel, top)
    lines += [label.svg() for label in labels(panels)]
    return "\n".join([*lines, "</svg>", ""])


def labels(panels: Sequence[Panel]) -> list[Label]:
    """Return all texts of the picture of some panels."""
    return [label for panel, top in _placed(panels) for label in _texts(panel, top)]


def _height(panels: Sequence[Panel]) -> float:
    return 2 * MARGIN + sum(panel.height for panel in panels) + PANEL_GAP * (len(panels) - 1)


def _placed(panels: Sequence[Panel]) -> Iterator[tuple[Panel, float]]:
    top = MARGIN
    for panel in panels:
        yield panel, top
        top += panel.height + PANEL_GAP


def _bars(panel: Panel, top: float) -> Iterator[tuple[Bar, float]]:
    """Yield each bar with its upper edge."""
    for place, bar in enumerate(panel.bars):
        yield bar, top + TITLE_ROW + UNIT_ROW + place * (BAR + GAP)


def _scale(panel: Panel) -> float:
    """Return the pixels of one unit."""
    return (BARS_END - BARS_AT) / max(panel.longest, 1e-9)


def _end(panel: Panel, figure: float) -> float:
    """Return where a figure is, from the left."""
    return BARS_AT + min(figure, panel.longest) * _scale(panel)


def _texts(panel: Panel, top: float) -> Iterator[Label]:
    yield Label(panel.title, MARGIN, top + FONT, css="title")
    yield Label(panel.caption, MARGIN, top + TITLE_ROW + SMALL, SMALL, "unit")
    for bar, y in _bars(panel, top):
        css, baseline = "own" if bar.is_ours else "", y + BAR - 4
        yield Label(bar.name, BARS_AT - 8, baseline, css=css, is_right=True)
        yield Label(bar.label, _end(panel, bar.spread.most) + 8, baseline, css=css)


def _shapes(panel: Panel, top: float) -> Iterator[str]:
    bars = list(_bars(panel, top))
    for bar, y in bars:
        css = "bar ours" if bar.is_ours else "bar"
        end = BARS_END if panel.is_broken(bar) else _end(panel, bar.spread.median)
        yield f'<rect class="{css}" x="{BARS_AT:g}" y="{y:.1f}" width="{end - BARS_AT:.1f}" height="{BAR:g}" rx="2"/>'
        if panel.is_broken(bar):
            yield _break(end - BREAK, y)
        else:
            yield _whisker(_end(panel, bar.spread.least), _end(panel, bar.spread.most), y + BAR / 2)
    bottom = bars[-1][1] + BAR
    yield f'<path class="axis" d="M{BARS_AT:g} {bars[0][1] - 3:.1f}V{bottom + 3:.1f}"/>'


def _break(x: float, y: float) -> str:
    """Return the element of a gap in a bar."""
    return f'<path class="break" d="M{x - 3:.1f} {y + BAR + 1:.1f}L{x + 3:.1f} {y - 1:.1f}"/>'


def _whisker(left: float, right: float, y: float) -> str:
    """Return the element of a line from the least to the most, with an end each."""
    end = f"{y - CAP:.1f}V{y + CAP:.1f}"
    return f'<path class="whisker" d="M{left:.1f} {end}M{left:.1f} {y:.1f}H{right:.1f}M{right:.1f} {end}"/>'
