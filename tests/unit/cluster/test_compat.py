from __future__ import annotations

from typing import Any

import pytest

from crosswire.cluster.compat import Compat
from crosswire.errors import ConfigError


@pytest.mark.parametrize(
    "wrong",
    [
        {"compress": None},
        {"preset_namespaces": "chat"},
        {"preset_namespaces": ["chat", 5]},
        {"preset_namespaces": [""]},
        {"preset_namespaces": ["\ud800"]},
        {"preset_namespaces": 5},
        {"preset_namespaces": ["chat", "ws:chat"]},
        {"preset_namespaces": ["broadcast"]},
    ],
)
def test_options_that_can_not_be_used_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Compat(**wrong)


def test_the_defaults_are_the_originals() -> None:
    assert Compat() == Compat(compress=True, preset_namespaces=())
