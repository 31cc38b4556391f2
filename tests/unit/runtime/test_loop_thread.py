from __future__ import annotations

import asyncio

import pytest

from crosswire.errors import UsageError
from crosswire.runtime.loop_thread import running_loop, wrong_thread


def test_the_running_loop_is_returned() -> None:
    async def main() -> None:
        assert running_loop() is asyncio.get_running_loop()

    asyncio.run(main())


def test_without_one_the_error_says_what_to_do() -> None:
    with pytest.raises(UsageError, match="call_soon_threadsafe"):
        running_loop()
    assert "server 'chat' belongs" in str(wrong_thread("server 'chat'"))
