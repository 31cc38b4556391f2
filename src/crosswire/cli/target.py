"""Loading the server or the application that ``module:attribute`` names."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path, PurePath
from types import ModuleType
from typing import Any

from crosswire.cli.failures import USAGE, CommandFailed
from crosswire.cluster.node import Node
from crosswire.errors import ConfigError
from crosswire.runtime.log_records import get_logger
from crosswire.server.options import require_application
from crosswire.server.server import Server
from crosswire.transport.interface import AsgiApplication

logger = get_logger("crosswire.serve")

_MAX_ERROR_TEXT = 500
"""Characters of an error of the application that are printed."""
_LIBRARIES = (
    Path(__file__).parents[1],
    *{Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")},
)
"""Folders with code that is not the application's."""


def load_server(target: str) -> Server:
    """Import a module, from the current directory or Python's path, and return its server.

    Args:
        target: ``module:attribute``; the attribute is a :class:`Server` or a function that returns one.

    Raises:
        CommandFailed: there is no such module, it can't be imported, or the attribute is no server.
    """
    found = _load(target, "server")
    if isinstance(found, Server):
        return found
    if isinstance(found, Node):
        raise _failure(f"{target} is a Node, which accepts no connections: call its run(), or serve a Server")
    made = _call_factory(found, target, "a Server")
    if not isinstance(made, Server):
        raise _failure(f"{target}() returned {_kind(made)}, not a Server")
    return made


def load_application(target: str) -> AsgiApplication:
    """Import a module, from the current directory or Python's path, and return its ASGI application.

    Args:
        target: ``module:attribute``; the attribute is an application or a function without arguments that returns one.

    Raises:
        CommandFailed: there is no such module, it can't be imported, or the attribute is no application.
    """
    found = _load(target, "app")
    if inspect.isfunction(found) and _takes(found):
        found = _call_factory(found, target, "an ASGI application")
    try:
        return require_application(found)
    except ConfigError as error:
        raise _failure(f"{target}: {error}") from error


def _load(target: str, usual: str) -> Any:
    """Return what a target names; ``usual`` is the usual name of its attribute, for advice."""
    name, colon, attribute = target.partition(":")
    if not (colon and attribute and _is_module(name)):
        raise _failure(f"{target!r} is no {usual}: write MODULE:ATTRIBUTE, {_naming_advice(name, attribute, usual)}")
    with _run_ignored(name):
        return _found(_import(name), name, attribute, usual)


def call_function(target: str) -> None:
    """Import a module and call a function of it, without arguments.

    Args:
        target: ``module:function``.

    Raises:
        CommandFailed: the function raises an exception.
    """
    name, _, attribute = target.partition(":")
    function = getattr(_import(name), attribute)
    try:
        function()
    except (Exception, SystemExit) as error:
        raise _failure(f"{target}() failed: {_described_error(error)}") from error


def _found(module: ModuleType, name: str, attribute: str, usual: str) -> Any:
    found: Any = module
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise _failure(
                f"module {name!r} ({module.__file__}) has no {attribute!r}{_others(module, attribute, usual)}"
            ) from None
    return found


@contextmanager
def _run_ignored(module: str) -> Iterator[None]:
    """Make ``server.run()`` do nothing while a module that calls it is imported."""

    def ignored(_server: Server, **_options: Any) -> None:
        logger.warning(
            "module %r calls run() while it is imported: that is ignored, as it is run by this command", module
        )

    run = Server.run  # replaced for one import only, which type checkers do not like
    Server.run = ignored  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        Server.run = run  # type: ignore[method-assign]


def _import(name: str) -> ModuleType:
    directory = os.getcwd()
    if directory not in sys.path:
        sys.path.insert(0, directory)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            text = f"there is no module {error.name!r}, neither in {directory} nor installed"
            raise _failure(text + _other_module(name, Path(directory))) from error
        raise _failure(f"module {name!r} can't be imported: {_described_error(error)}") from error
    except (Exception, SystemExit) as error:
        raise _failure(f"module {name!r} can't be imported: {_described_error(error)}") from error


def _call_factory(maker: Any, target: str, kind: str) -> Any:
    if not callable(maker):
        raise _failure(f"{target} is neither {kind} nor a function that returns one: it is {_kind(maker)}")
    if inspect.iscoroutinefunction(maker):
        raise _failure(f"{target} is asynchronous: give a plain function that returns {kind}")
    if not _takes(maker):
        raise _failure(f"{target} takes arguments: give a function without arguments that returns {kind}")
    try:
        return maker()
    except (Exception, SystemExit) as error:
        raise _failure(f"{target}() failed: {_described_error(error)}") from error


def _takes(function: Callable[..., Any], *arguments: object) -> bool:
    """Return whether a function can be called with these arguments."""
    try:
        inspect.signature(function).bind(*arguments)
    except (TypeError, ValueError):  # ValueError: a builtin without a signature
        return False
    return True


def _failure(text: str) -> CommandFailed:
    return CommandFailed(text, USAGE)


def _is_module(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))


def _naming_advice(name: str, attribute: str, usual: str) -> str:
    """Return advice for a name that is no module, for example a path."""
    file = PurePath(name)
    parts = file.with_name(file.name.removesuffix(".py")).parts if file.name else ()
    if not parts or not parts[-1].isidentifier():
        return f"such as {'chat' if usual == 'server' else 'main'}:{usual}"
    if not _is_module(".".join(parts)):
        return f"such as {parts[-1]}:{attribute or usual}, in the folder {file.parent}"
    module = ".".join(parts)
    if name.endswith(".py") and len(parts) == 1:
        return f"without .py: {module}:{attribute or usual}"
    return f"such as {module}:{attribute or usual}"


def _other_module(name: str, directory: Path) -> str:
    """Return advice for the name of a module that does not exist."""
    if name.endswith(".py"):
        return f": write it without .py: {name.removesuffix('.py')}"
    there = [path.stem for path in directory.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()]
    return _did_you_mean(name, there)


def _others(module: ModuleType, attribute: str, usual: str) -> str:
    """Return advice for a name that a module does not have."""
    servers = sorted(name for name, value in vars(module).items() if isinstance(value, Server))
    if servers and usual == "server":
        return f"; its servers: {', '.join(servers)}"
    makers = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
    return _did_you_mean(attribute, makers)


def _did_you_mean(name: str, there: Iterable[str]) -> str:
    near = get_close_matches(name, there, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _kind(value: Any) -> str:
    return "None" if value is None else f"of type {type(value).__name__}"


def _described_error(error: BaseException) -> str:
    """Return an error in one line, with the place in the application where it was raised."""
    text = " ".join(f"{type(error).__name__}: {error}".split())[:_MAX_ERROR_TEXT]
    if isinstance(error, SyntaxError):
        return text  # it contains the place
    frames = traceback.extract_tb(error.__traceback__)
    place = next((frame for frame in reversed(frames) if _is_application(frame.filename)), frames[-1])
    return f"{text} ({place.filename}, line {place.lineno})"


def _is_application(file: str) -> bool:
    return not file.startswith("<") and not any(Path(file).is_relative_to(library) for library in _LIBRARIES)
