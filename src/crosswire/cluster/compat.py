"""Options for a cluster in which servers of ``websocket-cross-server-adapter`` ("the original") take part."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import KW_ONLY, dataclass

from crosswire.core.options import require_bool
from crosswire.core.original_channels import rooms_channel
from crosswire.core.utf8 import has_utf8
from crosswire.errors import ConfigError, UsageError


@dataclass(frozen=True)
class Compat:
    """The setup of the original's servers in a cluster: ``Redis(urls, compat=Compat(compress=False))``.

    ``Redis(urls, compat=True)`` means ``Compat()``. All servers of the cluster have the same options.

    Args:
        compress: the original's ``enableRedisDataCompression``: MessagePack if true, else JSON.
        preset_namespaces: the original's ``presetRoomNamespaces``: namespaces of rooms whose channels every server
            listens on all the time.

    Raises:
        ConfigError: an option can't be used; the text says what to change.
    """

    _: KW_ONLY
    compress: bool = True
    preset_namespaces: Collection[str] = ()

    def __post_init__(self) -> None:
        require_bool("Compat(compress)", self.compress)
        namespaces: object = self.preset_namespaces
        if isinstance(namespaces, str | bytes) or not isinstance(namespaces, Collection):
            raise ConfigError("Compat(preset_namespaces): give a list of names")
        if not all(isinstance(each, str) and each and has_utf8(each) for each in namespaces):
            raise ConfigError("Compat(preset_namespaces): names are strings that are not empty and have a UTF-8 form")
        try:
            for each in namespaces:
                rooms_channel(each)
        except UsageError as error:
            raise ConfigError(f"Compat(preset_namespaces): {error}") from None
