"""Other defaults for what a test does not make itself."""

from __future__ import annotations

import pytest


def set_default(patch: pytest.MonkeyPatch, class_: type, parameter: str, value: object) -> None:
    """Change the default of a keyword-only parameter of a class' constructor."""
    defaults = class_.__init__.__kwdefaults__  # type: ignore[misc]
    assert parameter in defaults
    patch.setitem(defaults, parameter, value)
