"""Says that an event came which nobody handles: most often its name is misspelt, here or there."""

from __future__ import annotations

import logging

logger = logging.getLogger("crosswire.client")

MOST_NAMES = 100
"""Names that are logged; a server may make up as many as it likes."""


class Unhandled:
    """Logs the names of events without a handler, each once."""

    __slots__ = ("_names",)

    def __init__(self) -> None:
        self._names: set[str] = set()

    def note(self, event: str) -> None:
        """An event came that has no handler. Those of the protocol itself, which begin with ``$``, need none."""
        if event in self._names or event.startswith("$") or len(self._names) >= MOST_NAMES:
            return
        self._names.add(event)
        logger.warning("the server sent the event %r, for which there is no handler; this is said once", event)
        if len(self._names) == MOST_NAMES:
            logger.warning("%d events had no handler; no others will be named", MOST_NAMES)
