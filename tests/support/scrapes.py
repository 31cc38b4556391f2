"""Scraped metrics, read with the parser of prometheus-client."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
from prometheus_client.parser import text_string_to_metric_families

SCRAPE_TIMEOUT = 5.0
"""Seconds that an answer to a scrape may take."""


class Scrape:
    """The samples of one scrape.

    Args:
        text: in the text format.
    """

    def __init__(self, text: str) -> None:
        self.kinds: dict[str, str] = {}
        self._samples: list[tuple[str, dict[str, str], float]] = []
        for family in text_string_to_metric_families(text):
            assert family.name not in self.kinds, f"{family.name} is there twice"
            self.kinds[family.name] = family.type
            self._samples += [(each.name, dict(each.labels), each.value) for each in family.samples]

    @property
    def names(self) -> set[str]:
        """Names of all samples."""
        return {name for name, _, _ in self._samples}

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of that name with these labels; 0 if there is none."""
        wanted = labels.items()
        return sum(value for each, has, value in self._samples if each == name and wanted <= has.items())

    def labels(self, name: str, label: str) -> set[str]:
        """Return the values of a label."""
        return {has[label] for each, has, _ in self._samples if each == name}


async def scrape(port: int, headers: Mapping[str, str] | None = None) -> Scrape:
    """Scrape the metrics of a server on this machine."""
    async with httpx.AsyncClient(timeout=SCRAPE_TIMEOUT) as client:
        answer = await client.get(f"http://127.0.0.1:{port}/metrics", headers=headers)
    assert answer.status_code == 200, answer
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return Scrape(answer.text)
