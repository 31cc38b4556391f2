from __future__ import annotations

import asyncio
from typing import Any, cast

from crosswire.client import Client
from crosswire.client.router import MAX_HANDLERS
from crosswire.errors import EventError
from tests.integration.client.fake_server import FakeServer
from tests.integration.client.helpers import HookRecorder, quick_client
from tests.support.aio import wait_until


async def ask(server: FakeServer, event: str, payload: Any = None) -> dict[str, Any]:
    """Call the client and return its whole answer."""
    call_id = f"{event}-{len(server.messages)}"
    await server.send({"event": event, "payload": payload, "callId": call_id})
    await wait_until(lambda: any(each.get("callId") == call_id for each in server.messages))
    [answer] = [each for each in server.messages if each.get("callId") == call_id]
    assert isinstance(answer, dict)
    return {key: value for key, value in answer.items() if key != "callId"}


def add_handlers(client: Client) -> None:
    @client.on("double")
    def double(data: int) -> int:
        return 2 * data

    @client.on("slow")
    async def slow(data: Any) -> Any:
        await asyncio.sleep(0)
        return data

    @client.on("refuse")
    def refuse() -> None:
        raise EventError("busy", "ask later")

    @client.on("fail")
    async def fail() -> None:
        raise RuntimeError("a secret of this program")

    client.on("nothing", lambda: None)
    client.on("several", lambda: None)
    client.on("several", slow_second)
    client.on("several", lambda: "third")
    client.on("odd", lambda: cast(Any, object()))

    @client.on("refuse oddly")
    async def refuse_oddly() -> None:
        raise EventError("busy", object())  # type: ignore[arg-type]


async def slow_second() -> str:
    await asyncio.sleep(0)
    return "second"


async def test_a_call_is_always_answered() -> None:
    async with FakeServer() as server, quick_client(server.url) as client:
        recorder = HookRecorder(client)
        add_handlers(client)
        assert await ask(server, "double", 21) == {"payload": 42}
        assert await ask(server, "slow", [1]) == {"payload": [1]}
        assert await ask(server, "nothing") == {"payload": None}
        assert await ask(server, "several") == {"payload": "second"}
        assert await ask(server, "refuse") == {"error": {"code": "busy", "message": "ask later"}}
        assert recorder.errors == []
        failed = {"error": {"code": "HANDLER_ERROR", "message": "the handler failed"}}
        assert await ask(server, "fail") == failed
        assert await ask(server, "odd") == failed
        assert await ask(server, "refuse oddly") == failed
        assert str(recorder.errors[0]) == "a secret of this program"
        assert len(recorder.errors) == 3
        assert (await ask(server, "unknown"))["error"]["code"] == "NO_HANDLER"
        assert (await ask(server, "double", "x"))["error"]["code"] == "INVALID_PAYLOAD"


async def test_an_answer_for_a_connection_that_is_gone_is_dropped() -> None:
    go_on = asyncio.Event()
    async with FakeServer() as server, quick_client(server.url) as client:
        recorder = HookRecorder(client)

        @client.on("slow")
        async def slow() -> str:
            await go_on.wait()
            return "too late"

        await server.send({"event": "slow", "callId": "1"})
        client.on("then", lambda: None)
        await ask(server, "then")
        server.drop_all()
        await wait_until(lambda: recorder.count("open") == 1)
        go_on.set()
        await ask(server, "then")
        assert not any(each.get("callId") == "1" for each in server.messages)
        assert recorder.errors == []


async def test_running_handlers_are_bounded() -> None:
    go_on = asyncio.Event()
    async with FakeServer() as server, quick_client(server.url) as client:
        recorder = HookRecorder(client)

        @client.on("slow")
        async def slow() -> None:
            await go_on.wait()

        client.on("quick", lambda: "still answered")
        for _ in range(MAX_HANDLERS + 1):
            await server.send({"event": "slow"})
        assert (await ask(server, "slow"))["error"]["code"] == "BUSY"
        assert await ask(server, "quick") == {"payload": "still answered"}
        [error] = recorder.errors
        assert isinstance(error, EventError)
        assert error.code == "BUSY"
        go_on.set()


async def test_an_answer_against_the_return_annotation_is_a_failure() -> None:
    async with FakeServer() as server, quick_client(server.url) as client:
        recorder = HookRecorder(client)

        @client.on("wrong")
        def wrong() -> int:
            return "5"  # type: ignore[return-value] # pyright: ignore[reportReturnType]

        @client.on("wrong later")
        async def wrong_later() -> list[int]:
            return [None]  # type: ignore[list-item] # pyright: ignore[reportReturnType]

        for event in ("wrong", "wrong later"):
            answer = await ask(server, event)
            assert answer == {"error": {"code": "HANDLER_ERROR", "message": "the handler failed"}}
        assert [type(error) for error in recorder.errors] == [TypeError] * 2
