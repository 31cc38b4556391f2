from __future__ import annotations

import argparse

import pytest

import crosswire
from crosswire.cli.arguments import COMMANDS, parse
from crosswire.cli.client_commands import kick, rooms, users
from crosswire.cli.cluster_commands import call, nodes, send
from crosswire.cli.serve import serve
from crosswire.cli.top import top

LINES_OF_A_SCREEN = 45


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    """Return the output of a command line that ends at once."""
    with pytest.raises(SystemExit) as end:
        parse(words)
    assert end.value.code == code
    out, err = capsys.readouterr()
    assert not (out if code else err)
    return err if code else out


def options(*words: str) -> argparse.Namespace:
    return parse(words)


# Help


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
def test_help_lists_every_command(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, *words)
    for name, command in COMMANDS.items():
        assert f"  {name} " in text
        assert command.summary in text


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_fits_a_screen(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, command, "--help")
    assert text.startswith(f"usage: crosswire {command} ")
    assert "CROSSWIRE_REDIS" in text
    assert len(text.splitlines()) <= LINES_OF_A_SCREEN


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "--version") == f"crosswire {crosswire.__version__}\n"


# Slips


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("serve", "a:b", "--worker", "2"), "did you mean --workers?"),
        (("serve", "a:b", "--prot=80"), "did you mean --port?"),
        (("nodes", "--embeded"), "did you mean --embedded?"),
        (("call", "a", "b", "--timeot", "2", "--redsi", "redis://a"), "did you mean --timeout, --redis?"),
        (("send", "a", "--nodes", "--prefx", "x"), "did you mean --prefix?"),
        (("srve", "a:b"), "did you mean serve?"),
        (("node",), "did you mean nodes?"),
    ],
)
def test_a_misspelled_word_gets_a_suggestion(
    words: tuple[str, ...], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = said(capsys, *words, code=2)
    assert meant in text
    assert text.count("\n") == 1


def test_an_unknown_word_gets_no_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean" not in said(capsys, "nodes", "--zzz", code=2)
    assert "use one of serve, nodes, send, call" in said(capsys, "zzz", code=2)


# serve


def test_serve_has_defaults() -> None:
    given = options("serve", "chat:server")
    assert (given.run, given.target, given.workers, given.drain) == (serve, "chat:server", 1, 10)
    assert (given.host, given.port, given.name, given.redis, given.embedded) == (None, None, None, None, False)


def test_serve_takes_every_option() -> None:
    given = options(
        *("serve", "--workers", "4", "chat:server", "--host", "", "--port", "0", "--name", "web", "--drain", "2.5"),
        *("--redis", "redis://a", "--redis", "redis://b", "--prefix", "x:"),
        *("--tls-certificate", "a.pem", "--tls-key", "b.pem", "--tls-client-ca", "c.pem"),
    )
    assert (given.tls_certificate, given.tls_key, given.tls_client_ca) == ("a.pem", "b.pem", "c.pem")
    assert (given.target, given.workers, given.host, given.port) == ("chat:server", 4, "", 0)
    assert (given.name, given.drain, given.redis, given.prefix) == ("web", 2.5, ["redis://a", "redis://b"], "x:")


# send and call


@pytest.mark.parametrize(
    "words",
    [("news", "5", "--everyone"), ("news", "--everyone", "5"), ("--everyone", "news", "5")],
)
def test_options_may_stand_anywhere(words: tuple[str, ...]) -> None:
    given = options("send", *words)
    assert (given.run, given.event, given.data, given.everyone) == (send, "news", "5", True)


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (("--to", "a", "--to", "b"), "to", ["a", "b"]),
        (("--nodes",), "nodes", True),
        (("--user", "3", "--user", "1,2"), "users", ["3", "1,2"]),
        (("--users", "3,10"), "users", ["3", "10"]),
        (("--room", "chat", "1000"), "room", ["chat", "1000"]),
    ],
)
def test_send_takes_every_audience(words: tuple[str, ...], name: str, value: object) -> None:
    assert getattr(options("send", "news", *words), name) == value


@pytest.mark.parametrize("text", ["-", "-5", "null"])
def test_data_may_look_like_an_option(text: str) -> None:
    assert options("send", "news", text, "--nodes").data == text


def test_call_takes_a_node_or_all() -> None:
    given = options("call", "a", "price", "{}", "--timeout", "0.5")
    assert (given.run, given.words, given.all, given.timeout) == (call, ["a", "price", "{}"], False, 0.5)
    given = options("call", "--all", "price")
    assert (given.words, given.all, given.timeout) == (["price"], True, 5)


def test_nodes_takes_the_cluster_only() -> None:
    given = options("nodes", "--json", "--embedded")
    assert (given.run, given.json, given.embedded) == (nodes, True, True)


# users, rooms and kick


def test_users_takes_users_or_a_room() -> None:
    given = options("users", "--user", "1", "--user", "2", "--json")
    assert (given.run, given.users, given.room, given.json) == (users, ["1", "2"], None, True)
    given = options("users", "--room", "chat", "1000", "--starts", "guest-", "--limit", "5")
    assert (given.users, given.room, given.prefix_of_ids, given.limit) == (None, ["chat", "1000"], "guest-", 5)


def test_rooms_takes_a_namespace() -> None:
    given = options("rooms")
    assert (given.run, given.namespace, given.prefix_of_ids, given.limit, given.json) == (rooms, None, "", 100, False)
    given = options("rooms", "--namespace", "chat", "--starts", "10", "--limit", "10000", "--prefix", "x:")
    assert (given.namespace, given.prefix_of_ids, given.limit, given.prefix) == ("chat", "10", 10_000, "x:")


def test_kick_logs_out_for_good_by_default() -> None:
    given = options("kick", "13")
    assert (given.run, given.user, given.code, given.reason) == (kick, "13", 4010, "")
    given = options("kick", "13", "--code", "4000", "--reason", "bye")
    assert (given.code, given.reason) == (4000, "bye")


def test_top_goes_on_by_default() -> None:
    given = options("top")
    assert (given.run, given.interval, given.once, given.json) == (top, 1.0, False, False)
    given = options("top", "--once", "--json", "--interval", "0.1")
    assert (given.interval, given.once, given.json) == (0.1, True, True)


# What is wrong


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("srve",), "crosswire: there is no command 'srve': use one of serve, nodes, send, call"),
        (("--verbose",), "crosswire: unrecognized arguments: --verbose"),
        (("serve",), "crosswire serve: the following arguments are required: MODULE:SERVER"),
        (("serve", "a:b", "--workers", "0"), "crosswire serve: argument --workers: '0' is no number of processes"),
        (("serve", "a:b", "--workers", "x"), "crosswire serve: argument --workers: 'x' is no number of processes"),
        (("serve", "a:b", "--port", "65536"), "crosswire serve: argument --port: '65536' is no port"),
        (("serve", "a:b", "--drain", "-1"), "crosswire serve: argument --drain: '-1' is no number of seconds"),
        (("serve", "a:b", "--drain", "nan"), "crosswire serve: argument --drain: 'nan' is no number of seconds"),
        (
            ("serve", "a:b", "--drain", "3155760001"),
            "crosswire serve: argument --drain: '3155760001' is too long: give 3155760000 seconds or less",
        ),
        (("serve", "a:b", "--drain", "soon"), "crosswire serve: argument --drain: 'soon' is no number of seconds"),
        (("serve", "a:b", "--work", "2"), "crosswire serve: unrecognized arguments: --work 2"),
        (("nodes", "--redis", "x", "--embedded"), "argument --embedded: not allowed with argument --redis"),
        (("send", "--nodes"), "crosswire send: the following arguments are required: EVENT"),
        (("send", "news"), "crosswire send: one of the arguments --to --nodes --everyone --user --users --room is"),
        (("send", "news", "--nodes", "--everyone"), "argument --everyone: not allowed with argument --nodes"),
        (("send", "news", "1", "2", "--nodes"), "crosswire send: unrecognized arguments: 2"),
        (("call",), "crosswire call: the following arguments are required"),
        (("users", "--limit", "0"), "crosswire users: argument --limit: '0' is no limit: give 1 to 10000"),
        (("rooms", "--limit", "10001"), "crosswire rooms: argument --limit: '10001' is no limit"),
        (("users", "--user", "1", "--room", "a", "b"), "argument --room: not allowed with argument --user"),
        (("top", "--interval", "0.05"), "argument --interval: '0.05' is too short an interval: give 0.1 or more"),
        (("top", "--interval", "x"), "argument --interval: 'x' is no number of seconds"),
        (("kick",), "crosswire kick: the following arguments are required: USER"),
        (("kick", "13", "--code", "1005"), "argument --code: '1005' can't be sent as a close code: use 1000-1003"),
        (("kick", "13", "--code", "x"), "argument --code: 'x' can't be sent as a close code"),
        (("serve", "a:b", "--name", "a\udcff"), "crosswire serve: 'a\\udcff' is no UTF-8"),
    ],
)
def test_a_wrong_argument_is_reported_in_one_line(
    words: tuple[str, ...], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = said(capsys, *words, code=2)
    assert text in line
    assert line.endswith(" --help\n")
    assert line.count("\n") == 1
