"""The tests of servers that do not depend on what is below, over ASGI: uvicorn serves each server in this process."""

from __future__ import annotations

import pytest

from tests.integration.server import (
    test_audiences,
    test_events,
    test_flow_control,
    test_identity,
    test_msgpack,
    test_order,
    test_pacing,
    test_rooms,
    test_server_calls,
)

pytestmark = pytest.mark.usefixtures("servers_listen_over_asgi")

for _module in (
    test_audiences,
    test_events,
    test_flow_control,
    test_identity,
    test_msgpack,
    test_order,
    test_pacing,
    test_rooms,
    test_server_calls,
):
    _subject = _module.__name__.rpartition(".")[2]
    for _name, _test in vars(_module).items():
        if _name.startswith("test_"):
            globals()[f"{_subject}_{_name.removeprefix('test_')}"] = _test
