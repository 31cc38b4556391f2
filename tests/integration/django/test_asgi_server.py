"""Django's pages and the real-time server in one ASGI application, on a real uvicorn."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from crosswire import Client, Refused
from tests.support.running_program import RunningProgram

PROJECT = Path(__file__).with_name("project")
UVICORN = (sys.executable, "-m", "uvicorn", "asgi:application", "--port", "0")


async def test_both_know_the_user_of_the_session(tmp_path: Path) -> None:
    environment = {**os.environ, "CHAT_DATABASE": str(tmp_path / "database")}
    seed = await asyncio.to_thread(
        subprocess.run, [sys.executable, "seed.py"], cwd=PROJECT, env=environment, stdout=subprocess.PIPE, check=True
    )
    session = seed.stdout.decode().strip()
    uvicorn = RunningProgram(UVICORN, cwd=PROJECT, environment=environment)
    try:
        address = (await asyncio.to_thread(uvicorn.wait_for, r"running on http://(127\.0\.0\.1:\d+)"))[1]
        async with httpx.AsyncClient(cookies={"sessionid": session}) as http:
            assert (await http.get(f"http://{address}/name")).text == "ada"
        cookie = {"Cookie": f"sessionid={session}"}
        async with Client(f"ws://{address}/ws", headers=cookie) as client:
            assert await client.call("name") == "ada"
        for headers, reason in (
            ({}, "not logged in"),
            ({**cookie, "Origin": "http://evil.test"}, "this page's origin"),
        ):
            with pytest.raises(Refused) as refused:
                await Client(f"ws://{address}/ws", headers=headers).connect()
            assert refused.value.code == 4011
            assert refused.value.reason.startswith(reason)
        assert await asyncio.to_thread(uvicorn.interrupt) == 0
        assert "Traceback" not in uvicorn.output
    finally:
        uvicorn.stop()
