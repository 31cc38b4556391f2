from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import django_settings


@pytest.fixture(scope="session", autouse=True)
def settings_of_tests(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Set Django up; nothing here uses its database."""
    django_settings.configure(Path(tmp_path_factory.mktemp("django"), "database"))
