from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crosswire import Server
from crosswire.cli.failures import CommandFailed
from crosswire.cli.target import load_application, load_server

MODULE = """
from crosswire import Server
server = Server("mine", port=0)
class shop:
    server = Server("inner", port=0)
text = "x"
def make(): return Server("made", port=0)
def takes(argument): ...
def fails(): raise LookupError("no\\nluck")
def leaves(): raise SystemExit(3)
def none(): ...
async def later(): ...
async def app(scope, receive, send): ...
class Framework:
    async def __call__(self, scope, receive, send): ...
inner = Framework()
def make_app(): return inner
def wsgi(environ, start_response): ...
"""


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current directory, with a module in it. What is imported from there is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    (tmp_path / "cw_app.py").write_text(MODULE)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("cw_"):
            del sys.modules[name]


def refused(target: str) -> str:
    with pytest.raises(CommandFailed) as failure:
        load_server(target)
    assert failure.value.exit_code == 2
    assert "\n" not in failure.value.text
    return failure.value.text


@pytest.mark.parametrize(("attribute", "name"), [("server", "mine"), ("make", "made"), ("shop.server", "inner")])
def test_a_server_or_a_factory_is_found_in_the_current_directory(attribute: str, name: str) -> None:
    assert load_server(f"cw_app:{attribute}").name == name


def test_a_module_in_a_package_is_found(directory: Path) -> None:
    (directory / "cw_package").mkdir()
    (directory / "cw_package" / "inner.py").write_text(MODULE)
    assert load_server("cw_package.inner:server").name == "mine"
    assert refused("cw_package.other:server").startswith("there is no module 'cw_package.other'")


def test_a_module_that_runs_its_server_when_imported_is_loaded(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (directory / "cw_runs.py").write_text(f"{MODULE}\nserver.run(drain=1)\n")
    run = Server.run
    assert load_server("cw_runs:server").name == "mine"
    assert "module 'cw_runs' calls run() while it is imported" in caplog.text
    assert Server.run is run


@pytest.mark.parametrize(
    ("target", "instead"),
    [
        ("", "such as chat:server"),
        (":server", "such as chat:server"),
        ("a-b:server", "such as chat:server"),
        ("a..b:server", "such as chat:server"),
        ("cw_app", "such as cw_app:server"),
        ("cw_app:", "such as cw_app:server"),
        ("cw_app.py", "without .py: cw_app:server"),
        ("./cw_app.py:shop", "without .py: cw_app:shop"),
        ("./cw_app:shop", "such as cw_app:shop"),
        ("cw_package/inner.py:shop", "such as cw_package.inner:shop"),
        ("cw_package/inner:shop", "such as cw_package.inner:shop"),
        ("/srv/chat/cw_app.py:shop", "such as cw_app:shop, in the folder /srv/chat"),
        ("../cw_app.py:shop", "such as cw_app:shop, in the folder .."),
    ],
)
def test_an_invalid_target_is_refused(target: str, instead: str) -> None:
    assert refused(target) == f"{target!r} is no server: write MODULE:ATTRIBUTE, {instead}"


def test_the_suffix_py_of_a_module_is_ignored(directory: Path) -> None:
    assert refused("cw_app.py:server").endswith("nor installed: write it without .py: cw_app")
    (directory / "cw_package").mkdir()
    (directory / "cw_package" / "inner.py").write_text(MODULE)
    assert refused("cw_package.inner.py:server").endswith(": write it without .py: cw_package.inner")


def test_a_misspelled_name_gets_a_suggestion(directory: Path) -> None:
    assert refused("cw_ap:server").endswith("nor installed; did you mean 'cw_app'?")
    (directory / "cw_made.py").write_text("def create(): ...\n_create_it = print\nother = 1\n")
    assert refused("cw_made:creat").endswith("has no 'creat'; did you mean 'create'?")
    assert refused("cw_made:zzz").endswith("has no 'zzz'")


def test_a_node_is_refused_as_a_server(directory: Path) -> None:
    (directory / "cw_node.py").write_text("from crosswire import Node\nnode = Node()\n")
    assert refused("cw_node:node") == (
        "cw_node:node is a Node, which accepts no connections: call its run(), or serve a Server"
    )


def test_a_missing_module_is_named(directory: Path) -> None:
    assert refused("cw_nowhere:server") == f"there is no module 'cw_nowhere', neither in {directory} nor installed"
    assert refused("cw_app.x:server").startswith("there is no module 'cw_app.x'")


@pytest.mark.parametrize(
    ("source", "what", "line"),
    [
        ("import cw_nothing", "ModuleNotFoundError: No module named 'cw_nothing'", 1),
        ("\n1 / 0", "ZeroDivisionError: division by zero", 2),
        ("import sys\nsys.exit('bye')", "SystemExit: bye", 2),
        ("from crosswire import Server\nServer(redis='here')", "ConfigError: Redis(urls), number 1:", 2),
    ],
)
def test_an_import_error_is_reported_with_its_line(source: str, what: str, line: int, directory: Path) -> None:
    (directory / "cw_bad.py").write_text(source)
    text = refused("cw_bad:server")
    assert text.startswith(f"module 'cw_bad' can't be imported: {what}")
    assert text.endswith(f"({directory / 'cw_bad.py'}, line {line})")


def test_a_syntax_error_is_reported_with_its_line(directory: Path) -> None:
    (directory / "cw_bad.py").write_text("x =")
    assert refused("cw_bad:server") == (
        "module 'cw_bad' can't be imported: SyntaxError: invalid syntax (cw_bad.py, line 1)"
    )


@pytest.mark.parametrize(
    ("attribute", "text"),
    [
        ("text", "cw_app:text is neither a Server nor a function that returns one: it is of type str"),
        ("none", "cw_app:none() returned None, not a Server"),
        ("later", "cw_app:later is asynchronous: give a plain function that returns a Server"),
        ("takes", "cw_app:takes takes arguments: give a function without arguments that returns a Server"),
        ("fails", r"cw_app:fails\(\) failed: LookupError: no luck \(.*cw_app.py, line 9\)"),
        ("leaves", r"cw_app:leaves\(\) failed: SystemExit: 3 \(.*cw_app.py, line 10\)"),
        ("serve", r"module 'cw_app' \(.*cw_app.py\) has no 'serve'; its servers: server"),
        ("shop.none", r"module 'cw_app' \(.*cw_app.py\) has no 'shop.none'; its servers: server"),
    ],
)
def test_an_object_that_is_not_a_server_is_refused(attribute: str, text: str) -> None:
    said = refused(f"cw_app:{attribute}")
    assert said == text or re.fullmatch(text, said)


@pytest.mark.parametrize("attribute", ["app", "inner", "make_app"])
def test_an_application_or_a_function_that_returns_one_is_found(attribute: str) -> None:
    found = load_application(f"cw_app:{attribute}")
    module = sys.modules["cw_app"]
    assert found is (module.app if attribute == "app" else module.inner)


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("app.py", "'app.py' is no app: write MODULE:ATTRIBUTE, without .py: app:app"),
        ("cw_app", "'cw_app' is no app: write MODULE:ATTRIBUTE, such as cw_app:app"),
        ("cw_app:ap", "did you mean 'app'?"),
        ("cw_app:text", "cw_app:text: app='x'"),
        ("cw_app:server", "give an ASGI application"),
        ("cw_app:Framework", "give an ASGI application"),
        ("cw_app:wsgi", "no application"),
        ("cw_app:takes", "no application"),
        ("cw_app:none", "app=None"),
        ("cw_app:fails", "cw_app:fails() failed: LookupError: no luck"),
    ],
)
def test_what_is_no_application_is_refused(target: str, text: str) -> None:
    with pytest.raises(CommandFailed, match=re.escape(text)) as failure:
        load_application(target)
    assert failure.value.exit_code == 2
    assert "\n" not in failure.value.text
