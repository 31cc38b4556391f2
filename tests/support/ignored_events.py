"""Callbacks of a port for tests that need none of them."""

from __future__ import annotations

from crosswire.types import GapInfo, LinkStatus, SubscriptionFailure


class IgnoredPortEvents:
    """Callbacks of a port that do nothing."""

    def paths_changed(self) -> None: ...

    def path_lost(self, path: str) -> None: ...

    def restored(self) -> None: ...

    def gap(self, info: GapInfo) -> None: ...

    def health_changed(self, status: LinkStatus) -> None: ...

    def subscription_failed(self, failure: SubscriptionFailure) -> None: ...
