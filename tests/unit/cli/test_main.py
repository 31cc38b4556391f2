from __future__ import annotations

import io
import sys
from collections.abc import Callable

import pytest

from crosswire.cli import arguments
from crosswire.cli.cluster_options import VARIABLE
from crosswire.cli.failures import CommandFailed
from crosswire.cli.main import main
from crosswire.errors import BusUnavailable, ConfigError, EventError, InvalidPayload, UsageError


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def raising(error: BaseException) -> Callable[[object], int]:
    def run(_options: object) -> int:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (CommandFailed("it broke", 1), 1, "it broke\n"),
        (CommandFailed("not like that", 2), 2, "crosswire nodes: not like that\n"),
        (UsageError("a name must not be empty"), 2, "crosswire nodes: a name must not be empty\n"),
        (EventError("full", "no more"), 1, "full: no more\n"),
        (EventError("full"), 1, "full\n"),
        (InvalidPayload("it has no JSON form"), 1, "INVALID_PAYLOAD: it has no JSON form\n"),
        (BusUnavailable("no Redis"), 1, "BUS_UNAVAILABLE: no Redis\n"),
        (ConfigError("no such option"), 1, "CONFIG: no such option\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_an_error_becomes_one_line_and_an_exit_code(
    error: BaseException, code: int, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(arguments, "nodes", raising(error))
    assert main(["nodes"]) == code
    assert capsys.readouterr() == ("", text)


def test_an_internal_error_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arguments, "nodes", raising(LookupError("a bug")))
    with pytest.raises(LookupError):
        main(["nodes"])


def test_it_reads_the_arguments_of_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["crosswire", "nodes"])
    monkeypatch.setattr(arguments, "nodes", lambda _options: 7)
    assert main() == 7


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (("nodes",), 2, "crosswire nodes: no cluster is named: give --redis URL or --embedded, or set CROSSWIRE_REDIS"),
        (("nodes", "--prefix", "x:"), 2, "crosswire nodes: --prefix is for a Redis: give --redis URL or --embedded"),
        (
            ("nodes", "--redis", "localhost"),
            2,
            "crosswire nodes: --redis: number 1: the url of a Redis can't be used: ",
        ),
        (
            ("send", "a", "--nodes", "--redis", "embedded:"),
            2,
            "crosswire send: --redis: 'embedded:' names no application",
        ),
        (("call", "a", "b", "--redis", "redis://a", "--prefix", ""), 2, "crosswire call: --prefix: Redis(prefix='')"),
        (("serve", "a:b", "--prefix", "x:"), 2, "crosswire serve: --prefix is for a Redis: give --redis URL"),
        (("serve", "a:b", "--redis", "redis://a", "--redis", "b"), 2, "crosswire serve: --redis: number 2: the url"),
        (("send", "news", "hi", "--nodes", "--embedded"), 2, "crosswire send: 'hi' is no JSON: "),
        (("send", "news", "-", "--nodes", "--embedded"), 2, "crosswire send: standard input is no JSON: "),
        (("call", "a", "--embedded"), 2, "crosswire call: give NODE EVENT [JSON], or --all EVENT [JSON]"),
        (("call", "a", "b", "1", "2", "--embedded"), 2, "crosswire call: give NODE EVENT [JSON], or --all EVENT"),
        (("call", "--all", "a", "1", "2", "--embedded"), 2, "crosswire call: --all takes EVENT [JSON]"),
    ],
)
def test_impossible_options_are_reported_before_anything_starts(
    words: tuple[str, ...], code: int, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"{")))
    assert main(words) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(line)
    assert err.count("\n") == 1


def test_an_invalid_url_in_the_environment_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, "redis://a,http://b")
    for words in (("nodes",), ("serve", "a:b")):
        assert main(words) == 2
        err = capsys.readouterr().err
        assert err.startswith(f"crosswire {words[0]}: the environment variable CROSSWIRE_REDIS: number 2: the url of a")
