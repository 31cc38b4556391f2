"""Log records of one place in the code, of which there may be thousands a second."""

from __future__ import annotations

import asyncio
import logging
import os
from threading import get_ident
from typing import Any

from crosswire.runtime import environment
from crosswire.runtime.log_records import RecordLogger, safe_attributes

_ATTRIBUTES = logging.LogRecord("", 0, "", 0, "", (), None).__dict__.keys()
"""Names of what logging itself says of a record. Others are of the moment, such as the trace that it belongs to."""


class RepeatedRecord:
    """Log records with the same text, logger and level, logged by one function.

    logging looks for the file, the line, the function, the thread and the process of each record. Here the first record
    is made so, and those behind it are copies with other values, which takes a fourth of the time. A program that adds
    attributes of its own, by a record factory (``logging.setLogRecordFactory``) or a ``Logger.makeRecord`` of its own,
    has all of them made by that.

    Args:
        logger: logs the records.
        level: of the records.
        text: of the records, with ``%s`` and the like for their values.
    """

    __slots__ = ("_known", "_level", "_logger", "_place", "_since", "_text")

    def __init__(self, logger: RecordLogger, level: int, text: str) -> None:
        self._logger = logger.logger
        self._level = level
        self._text = text
        self._known: dict[str, Any] = {}  # attributes of the first record
        self._place = (0, 0)  # process and thread of the first record
        self._since = 0.0  # milliseconds to be added to the time of a record for its `relativeCreated`

    def is_enabled(self) -> bool:
        """Return whether such a record is logged at all, so that its values are worth being found out."""
        return self._logger.isEnabledFor(self._level)

    def log(self, values: tuple[object, ...], attributes: dict[str, Any]) -> None:
        """Log a record.

        Args:
            values: for the text.
            attributes: ``user``, ``socket``, ``event`` and ``node``, None where unknown, and others of the record.
        """
        if logging.getLogRecordFactory() is logging.LogRecord and self._place == (os.getpid(), get_ident()):
            record = logging.LogRecord.__new__(logging.LogRecord)
            record.__dict__.update(self._known)
            record.args = values
            record.created = now = environment.wall_time()
            record.msecs = int(now % 1 * 1000) + 0.0
            record.relativeCreated = now * 1000 + self._since
            if "taskName" in self._known:  # from Python 3.12 on
                record.__dict__["taskName"] = _task_name()
        else:
            record = self._make(values)
        record.__dict__.update(safe_attributes(attributes))
        self._logger.handle(record)

    def _make(self, values: tuple[object, ...]) -> logging.LogRecord:
        """Make a record as logging does, and keep what the next ones have in common with it."""
        logger = self._logger
        file, line, function, stack = logger.findCaller(stacklevel=3)  # who has called `log`
        record = logger.makeRecord(
            logger.name, self._level, file, line, self._text, values, None, function, None, stack
        )
        if record.__dict__.keys() == _ATTRIBUTES:
            self._known = dict(record.__dict__)
            self._place = (os.getpid(), get_ident())
            self._since = record.relativeCreated - record.created * 1000
        return record


def _task_name() -> str | None:
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return None
    return None if task is None else task.get_name()
