"""Events with several handlers, or with one that is called once: arguments, outcome, and the handlers reached."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

from crosswire.core.codecs import Codec
from crosswire.core.listeners import Listener
from crosswire.core.payload_types import RawPayload
from crosswire.errors import InvalidPayload
from crosswire.runtime.handler_calls import Outcome
from crosswire.runtime.handler_counts import HandlerCount

SenderT = TypeVar("SenderT")
CallT = TypeVar("CallT")


class SharedEvent(msgspec.Struct, Generic[SenderT, CallT]):
    """Arguments of :meth:`Answerer.handle`, for an event with several handlers."""

    name: str
    subject: object
    codec: Codec
    payload: RawPayload
    sender: SenderT
    call: CallT | None
    count: HandlerCount

    def invoke(self, listener: Listener) -> Any:
        """Call a handler; raises InvalidPayload if it takes data that does not fit."""
        call = listener.call_as(self.codec)
        return call(self.subject, self.payload)


class AnswerOutcome(Outcome):
    """Outcome that reports with each exception whether it is the answer."""

    __slots__ = ()

    def raised(self, error: BaseException) -> None:
        """Note what a listener raised, and report it."""
        is_answer = self.value is None and self.error is None
        if is_answer:
            self.error = error
        self._report(error, is_answer=is_answer)


def reached_listeners(
    listeners: tuple[Listener, ...], codec: Codec, payload: RawPayload, *, busy: bool
) -> list[Listener]:
    """Return the handlers that an event will really reach, so that no others lose their ``once``.

    Left out are handlers whose data does not fit. If ``busy``, the first asynchronous handler and all after it are left
    out too.
    """
    reached: list[Listener] = []
    for listener in listeners:
        if busy and listener.is_async:
            break
        if listener.once and listener.takes_data and not _fits(listener, codec, payload):
            continue
        reached.append(listener)
    return reached


def _fits(listener: Listener, codec: Codec, payload: RawPayload) -> bool:
    try:
        codec.payload(listener.payload, payload)
    except InvalidPayload:
        return False
    except Exception:  # noqa: BLE001 - of the handler's own type: it comes again when it is called, and is reported
        return True
    return True
