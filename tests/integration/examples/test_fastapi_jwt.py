"""examples/fastapi_jwt: one dependency for HTTP and the WebSocket, on a real uvicorn."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from examples.fastapi_jwt import main

from crosswire import Client, Refused
from tests.support.running_program import RunningProgram

FOLDER = Path(__file__).parents[3] / "examples/fastapi_jwt"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    command = [sys.executable, "-m", "uvicorn", "main:app", "--port", "0"]
    uvicorn = RunningProgram(command, cwd=FOLDER, environment=None)
    try:
        yield uvicorn.wait_for(r"running on http://(127\.0\.0\.1:\d+)")[1]
        assert uvicorn.interrupt() == 0
        assert "Traceback" not in uvicorn.output
    finally:
        uvicorn.stop()


def token_of(address: str, user: str) -> str:
    answer = httpx.post(f"http://{address}/token", json={"username": user, "password": main.PASSWORDS[user]})
    token: str = answer.raise_for_status().json()["access_token"]
    return token


def write(address: str, recipient: str, text: str, **headers: str) -> int:
    return httpx.post(f"http://{address}/messages/{recipient}", json={"text": text}, headers=headers).status_code


async def test_a_message_of_a_def_route_reaches_the_user(address: str) -> None:
    ada, basho = [await asyncio.to_thread(token_of, address, user) for user in ("ada", "basho")]
    heard: asyncio.Queue[Any] = asyncio.Queue()
    in_url = Client(f"ws://{address}/ws", params={"token": basho})
    in_header = Client(f"ws://{address}/ws", headers={"Authorization": f"Bearer {ada}"})
    for event in ("message", "typing"):
        in_url.on(event, heard.put_nowait)
    async with in_url, in_header:
        for number in range(20):
            sent = await asyncio.to_thread(write, address, "basho", f"number {number}", Authorization=f"Bearer {ada}")
            assert sent == 202
            assert await asyncio.wait_for(heard.get(), 20) == {"from": "ada", "text": f"number {number}"}
        in_header.send("typing", "basho")
        assert await asyncio.wait_for(heard.get(), 20) == {"from": "ada"}


@pytest.mark.parametrize("kind", ["none", "not a token", "expired", "another key", "no expiry"])
async def test_without_a_good_token_http_and_websocket_are_refused(address: str, kind: str) -> None:
    soon, past = int(time.time()) + 60, int(time.time()) - 60
    token = {
        "none": "",
        "not a token": "ada",
        "expired": jwt.encode({"sub": "ada", "exp": past}, main.SECRET, algorithm="HS256"),
        "another key": jwt.encode({"sub": "ada", "exp": soon}, "another key, just as long as this", algorithm="HS256"),
        "no expiry": jwt.encode({"sub": "ada"}, main.SECRET, algorithm="HS256"),
    }[kind]
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    assert await asyncio.to_thread(write, address, "basho", "hello", **headers) == 401
    with pytest.raises(Refused) as refused:
        await Client(f"ws://{address}/ws", params={"token": token}).connect()
    assert refused.value.status == 401


def test_a_wrong_password_gets_no_token(address: str) -> None:
    answer = httpx.post(f"http://{address}/token", json={"username": "ada", "password": "guessed"})
    assert answer.status_code == 401
