"""Runs the asynchronous tests of all folders."""

from __future__ import annotations

import gc
import inspect
import signal
from typing import Any

import pytest
from hypothesis import is_hypothesis_test

from tests.support import aio

# What a shell runs in the background ignores Ctrl-C, and so would the programs that the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "loop(factory): run an asynchronous test on an event loop made by this factory")


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Module | pytest.Class, name: str, obj: object) -> None:
    """Let every asynchronous test use the fixture that chooses its event loop."""
    if inspect.iscoroutinefunction(_test_of(obj)) and collector.funcnamefilter(name):
        pytest.mark.usefixtures("loop_factory")(obj)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an asynchronous test on a loop of its own, and check that it leaves nothing behind."""
    test = _test_of(pyfuncitem.obj)
    if not inspect.iscoroutinefunction(test):
        return None
    factory: Any = pyfuncitem.funcargs["loop_factory"]
    synchronous = aio.synchronous(test, factory)
    if test is not pyfuncitem.obj:
        pyfuncitem.obj.hypothesis.inner_test = synchronous
        return None
    synchronous(**{name: pyfuncitem.funcargs[name] for name in inspect.signature(test).parameters})
    return True


def _test_of(obj: Any) -> Any:
    """Return the function that a test consists of, without what Hypothesis has put around it."""
    return inspect.unwrap(obj.hypothesis.inner_test) if is_hypothesis_test(obj) else obj


@pytest.fixture
def loop_factory(request: pytest.FixtureRequest) -> aio.LoopFactory | None:
    """Return the factory of the marker ``loop``, or None for asyncio's own loop.

    A folder that needs another loop, or each test on several, overrides this fixture.
    """
    marker = request.node.get_closest_marker("loop")
    factory: aio.LoopFactory | None = None if marker is None else marker.kwargs["factory"]
    return factory


@pytest.fixture(scope="module", autouse=True)
def frozen_objects() -> None:
    """Spare the garbage collection after every test what was there before the tests of its file.

    Otherwise one takes up to 0.3 seconds. It is done for each file, as `run()` of a server undoes it at its end.
    """
    gc.collect()
    gc.freeze()
