from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import crosswire.django

NAMES = ["database_sync_to_async", "emitter", "get_user", "session_user"]


def test_the_public_names() -> None:
    assert crosswire.django.__all__ == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_documented_and_annotated(name: str) -> None:
    function = getattr(crosswire.django, name)
    assert inspect.getdoc(function)
    assert inspect.signature(function).return_annotation is not inspect.Signature.empty


def test_without_django_the_error_says_what_to_install() -> None:
    program = "import sys; sys.modules['django'] = None; import crosswire.django"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.endswith("ConfigError: crosswire.django needs Django: pip install 'crosswire[django]'\n")


def test_importing_crosswire_loads_no_django() -> None:
    program = "import sys, crosswire; sys.exit('django' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
