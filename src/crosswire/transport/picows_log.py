"""Keeps picows' own records out of the way: one per connection or bad frame, at INFO and ERROR, would be a flood."""

from __future__ import annotations

import logging
from typing import Any

logger = logging.getLogger("crosswire.transport")


class PicowsLogAdapter(logging.LoggerAdapter[logging.Logger]):
    """Demotes every record to DEBUG, but those of exceptions: these are bugs, of ours or of picows.

    An adapter and no Logger, because picows makes a child of a Logger for every connection, which costs memory.
    """

    def log(self, level: int, msg: object, *args: Any, **kwargs: Any) -> None:
        """Log at DEBUG, unless there is an exception to tell of."""
        super().log(level if kwargs.get("exc_info") else logging.DEBUG, msg, *args, **kwargs)

    def info(self, msg: object, *args: Any, **kwargs: Any) -> None:
        """Log at DEBUG. picows says two things of every connection, which has to cost next to nothing."""
        if self.logger.isEnabledFor(logging.DEBUG):
            super().info(msg, *args, **kwargs)


PICOWS_LOG = PicowsLogAdapter(logger, {})
