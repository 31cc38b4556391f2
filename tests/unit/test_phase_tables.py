from __future__ import annotations

import pytest

from tests.support.phase_tables import PAGES, ROOT, page_with_tables


@pytest.mark.parametrize("page", PAGES)
def test_the_tables_of_phases_are_those_of_the_specification(page: str) -> None:
    assert (ROOT / page).read_text(encoding="utf-8") == page_with_tables(page), "other tables: make tables"
