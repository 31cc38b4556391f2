"""Demotes the log records of picows, which writes one for every connection or bad frame, at INFO and ERROR."""

from __future__ import annotations

import logging
from typing import Any

from crosswire.runtime.one_line_records import guarded_logger

logger = guarded_logger("crosswire.transport")


class PicowsLogAdapter(logging.LoggerAdapter[logging.Logger]):
    """Logger that demotes every record to DEBUG, except for exceptions, which are bugs of ours or of picows.

    It is an adapter and not a Logger, because of a Logger picows makes a child for every connection, in memory.
    """

    def log(self, level: int, msg: object, *args: Any, **kwargs: Any) -> None:
        """Log at DEBUG, or for an exception at the given level."""
        super().log(level if kwargs.get("exc_info") else logging.DEBUG, msg, *args, **kwargs)

    def info(self, msg: object, *args: Any, **kwargs: Any) -> None:
        """Log at DEBUG; cheap, because picows calls it twice for every connection."""
        if self.logger.isEnabledFor(logging.DEBUG):
            super().info(msg, *args, **kwargs)


PICOWS_LOG = PicowsLogAdapter(logger, {})
