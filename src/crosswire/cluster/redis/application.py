"""The application that an embedded Valkey belongs to: the meaning of ``embedded`` and ``embedded:NAME``."""

from __future__ import annotations

import hashlib
import os

from crosswire.core.utf8 import has_utf8
from crosswire.errors import ConfigError

EMBEDDED = "embedded"
_NAMED = f"{EMBEDDED}:"
_FORMS = "'embedded' (it belongs to the current folder), 'embedded:NAME' or 'embedded:/path/of/a/folder'"


def is_embedded(url: object) -> bool:
    """Return whether a URL means an embedded Redis."""
    return isinstance(url, str) and (url == EMBEDDED or url.startswith(_NAMED))


def application_of(url: str) -> str:
    """Return the URL that names the application in every folder, such as ``embedded:/srv/shop`` or ``embedded:shop``.

    Symbolic links of a folder are resolved.

    Args:
        url: a URL for which :func:`is_embedded` is true.

    Raises:
        ConfigError: the name can't be used, or there is no current folder.
    """
    name = url.removeprefix(EMBEDDED).removeprefix(":")
    if url == EMBEDDED:
        try:
            name = os.getcwd()
        except OSError as error:
            raise ConfigError(
                f"redis='embedded' belongs to the current folder, and that can't be found out ({error}): "
                "start in a folder that is there, or give redis='embedded:NAME'"
            ) from error
    if name.startswith("/"):
        return _NAMED + os.path.realpath(name)
    if not name or "/" in name or name != name.strip() or not name.isprintable() or not has_utf8(name):
        raise ConfigError(f"{url!r} names no application: give {_FORMS}; a name has no slash, and no space at its ends")
    return _NAMED + name


def described(application: str) -> str:
    """Return a text for logs that says which programs share the embedded Valkey of an application."""
    name = application.removeprefix(_NAMED)
    return f"what is started in the folder {name}" if name.startswith("/") else f"what is given redis={application!r}"


def short_name(application: str) -> str:
    """Return the name of the application's directory, short enough for the path of a Unix socket."""
    return hashlib.sha256(os.fsencode(application)).hexdigest()[:16]
