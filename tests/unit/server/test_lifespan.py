from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, cast

import pytest

from crosswire import ConfigError
from crosswire.server import lifespan as lifespan_module
from crosswire.server.lifespan import Lifespan


class Scripted:
    """An application that does what a test says at its start and at its end."""

    def __init__(self, at_start: Any = None, at_end: Any = None) -> None:
        self.seen: list[str] = []
        self._answers = iter((at_start, at_end))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "lifespan"
        scope["state"]["kept"] = True
        for _ in range(2):
            message = await receive()
            self.seen.append(message["type"])
            answer = next(self._answers)
            if isinstance(answer, Exception):
                raise answer
            await send({"type": f"{message['type']}.complete"} if answer is None else answer)


def failed(event: str, **more: str) -> dict[str, str]:
    return {"type": f"lifespan.{event}.failed", **more}


async def test_it_is_started_and_stopped() -> None:
    app = Scripted()
    lifespan = Lifespan(app)
    await lifespan.start()
    assert app.seen == ["lifespan.startup"]
    assert lifespan.state == {"kept": True}
    await lifespan.stop()
    await lifespan.stop()
    assert app.seen == ["lifespan.startup", "lifespan.shutdown"]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (failed("startup", message="no disk"), "no disk"),
        (failed("startup", message="Traceback\n  line\nOSError: no disk\n"), "OSError: no disk"),
        (failed("startup"), "it does not say why"),
        (OSError("no disk"), "OSError: no disk"),
    ],
)
async def test_a_failed_start_says_why(answer: Any, text: str) -> None:
    lifespan = Lifespan(Scripted(answer))
    with pytest.raises(ConfigError, match=f"did not start: {text}$"):
        await lifespan.start()
    await lifespan.stop()


async def test_an_application_that_returns_at_once_did_not_start() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()

    with pytest.raises(ConfigError, match="returned before it had answered"):
        await Lifespan(app).start()


async def test_an_application_may_know_no_lifespan(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise KeyError(scope["type"])

    lifespan = Lifespan(app)
    await lifespan.start()
    await lifespan.stop()
    assert not caplog.records


@pytest.mark.parametrize("answer", [failed("shutdown", message="no disk"), OSError("no disk")])
async def test_a_failed_stop_is_logged(answer: Any, caplog: pytest.LogCaptureFixture) -> None:
    lifespan = Lifespan(Scripted(None, answer))
    await lifespan.start()
    await lifespan.stop()
    assert "no disk" in caplog.text


async def test_an_application_that_ends_too_early_is_logged_at_the_stop(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        raise OSError("no disk")

    lifespan = Lifespan(app)
    await lifespan.start()
    await asyncio.sleep(0)
    await lifespan.stop()
    assert "OSError: no disk" in caplog.text


async def test_a_start_or_stop_that_is_cancelled_ends_the_application() -> None:
    ended: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await receive()
            if scope["state"].get("starts"):
                await send({"type": "lifespan.startup.complete"})
                await receive()
            await asyncio.Event().wait()
        finally:
            ended.append("ended")

    for starts in (False, True):
        lifespan = Lifespan(app)
        if starts:
            lifespan.state["starts"] = True
            await lifespan.start()
        task = asyncio.create_task(lifespan.stop() if starts else lifespan.start())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert ended == ["ended", "ended"]


async def test_an_application_that_does_not_end_when_it_is_cancelled_holds_up_no_stop(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lifespan_module, "END_TIMEOUT", 0.01)
    tasks: list[asyncio.Task[Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        tasks.append(cast(Any, asyncio.current_task()))
        for event in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{event}.complete"})
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    lifespan = Lifespan(app)
    await lifespan.start()
    async with asyncio.timeout(5):
        await lifespan.stop()
    assert "does not end, though it is cancelled" in caplog.text
    tasks[0].cancel()
    await asyncio.wait(tasks)
