from __future__ import annotations

import gc
import inspect
from typing import Any

import pytest

from crosswire.runtime.loops import loop_factory
from tests.support import aio


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run the tests of this folder that are coroutines on a fresh loop, and check that nothing is left."""
    test = pyfuncitem.obj
    if not inspect.iscoroutinefunction(test):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(test).parameters}
    factory: Any = pyfuncitem.funcargs.get("loop_kind", loop_factory())
    aio.run(test(**arguments), loop_factory=factory)
    return True


@pytest.fixture(scope="session", autouse=True)
def quick_collections() -> None:
    """Spare the garbage collection after every test the thousands of objects of the test runner."""
    gc.collect()
    gc.freeze()


@pytest.fixture(params=["asyncio", "uvloop"])
def loop_kind(request: pytest.FixtureRequest) -> aio.LoopFactory | None:
    """Runs the test on each kind of event loop."""
    return None if request.param == "asyncio" else loop_factory()
