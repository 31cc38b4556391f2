"""Servers whose hooks hang, for tests of signals: ``hanging:<what hangs>``. The variable HANG names the hook."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from crosswire import Server


def _server(hang: Callable[[], Any]) -> Server:
    server = Server("web", port=0)
    hook = getattr(server, os.environ["HANG"])
    hook(lambda: print(f"{server.name} hangs in {hook.name}", flush=True))
    hook(hang)
    return server


async def _wait() -> None:
    await asyncio.sleep(600)


async def _refuse_to_end() -> None:
    while True:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(600)


waits = _server(_wait)
blocks = _server(lambda: time.sleep(600))
stubborn = _server(_refuse_to_end)

if os.environ["HANG"] == "on_start" and "HANG_IMPORT" in os.environ:
    print("the import hangs", flush=True)
    time.sleep(600)
