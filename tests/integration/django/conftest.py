from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import call_command

from tests.support import django_settings


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Set Django up, with the tables of users and sessions."""
    django_settings.configure(Path(tmp_path_factory.mktemp("django"), "database"))
    call_command("migrate", verbosity=0)
