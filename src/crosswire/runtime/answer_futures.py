"""A future of the answer that a coroutine awaits, with nothing that is not needed for that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextvars import Context
from functools import partial
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class AnswerFuture(Generic[T]):
    """An answer that one coroutine awaits, once, and a callback of the event loop sets.

    A handler that awaits it in a lane goes on at once; a task does in the next turn. For a task it is a future, and has
    what a task uses of one. asyncio's own, with the iterator over it, would cost twice as much.

    Whoever makes it sets ``is_done`` to False, ``error`` and ``go_on`` to None, and what asyncio calls
    blocking to True: a constructor in Python would cost as much as all of that.

    Attributes:
        is_done: whether it is set, or cancelled.
        answer: as it was set.
        error: what is raised in place of an answer; None if there is none, or it has been raised.
        go_on: lets the handler go on that awaits it in a lane, or has the event loop wake the task that awaits it; None
            until one does.
    """

    __slots__ = ("_asyncio_future_blocking", "answer", "error", "go_on", "is_done")

    answer: T
    error: BaseException | None
    go_on: Callable[[], object] | None
    is_done: bool
    _asyncio_future_blocking: bool

    def set_result(self, answer: T) -> None:
        """Set the answer, as the last step of a callback: who awaits it may go on at once."""
        self.answer = answer
        self._settle()

    def set_exception(self, error: BaseException) -> None:
        """Set an error in place of the answer, as the last step too."""
        self.error = error
        self._settle()

    def _settle(self) -> None:
        self.is_done = True
        go_on = self.go_on
        if go_on is not None:
            self.go_on = None
            go_on()

    def __await__(self) -> Generator[Any, None, T]:
        if not self.is_done:
            yield self
        if self.error is not None:
            return self.result()
        return self.answer

    # What else a task uses, and a lane

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop of the task that awaits it; each class knows where it finds that."""
        raise NotImplementedError

    def result(self) -> T:
        """Return the answer, or raise the error.

        Raises:
            InvalidStateError: there is none yet.
        """
        error = self.error
        if error is None and self.is_done:
            return self.answer
        if error is None:
            raise asyncio.InvalidStateError("the answer is not there yet")
        self.error = None  # it will refer to this call, and so to this object
        try:
            raise error
        finally:
            del error

    def cancel(self, msg: Any = None) -> bool:
        """Set an error that says so; return False if it is done. A handler in a lane does not go on by itself."""
        if self.is_done:
            return False
        self.is_done = True
        self.error = asyncio.CancelledError() if msg is None else asyncio.CancelledError(msg)
        if self.go_on is not None and not self._asyncio_future_blocking:
            self.go_on()
        return True

    def add_done_callback(self, wake: Callable[[Any], object], *, context: Context | None = None) -> None:
        """Wake a task in the next turn after the answer is there."""
        go_on: Any = partial(self.get_loop().call_soon, wake, self, context=context)
        self.go_on = go_on
        if self.is_done:
            go_on()
