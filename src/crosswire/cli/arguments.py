"""Arguments of the command line, and their help."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from math import inf
from typing import NamedTuple, NoReturn

import crosswire
from crosswire.cli.client_commands import kick, rooms, users
from crosswire.cli.cluster_commands import call, nodes, send
from crosswire.cli.cluster_options import VARIABLE, add_cluster_options
from crosswire.cli.failures import USAGE
from crosswire.cli.serve import serve
from crosswire.cli.tls_options import add_tls_options
from crosswire.cli.top import MIN_INTERVAL, top
from crosswire.core.options import MAX_LISTED, MAX_SECONDS
from crosswire.core.utf8 import has_utf8
from crosswire.errors import SENDABLE, may_be_sent

_MAX_WIDTH = 100
"""Characters in a line of the help."""
_UNKNOWN = "unrecognized arguments: "

_ABOUT = """\
Run real-time servers, and talk to running ones.

commands:
{commands}
"""

_EXAMPLES = f"""\
examples:
  crosswire serve chat:server --workers 4 --embedded
  crosswire serve chat:server --app main:app --port 8000
  crosswire serve chat:server --port 8080 --redis redis://10.0.0.1:6379
  crosswire nodes --redis redis://10.0.0.1:6379
  crosswire rooms --namespace chat --redis redis://10.0.0.1:6379
  crosswire send news '{{"text": "Back in a minute"}}' --everyone --embedded
  crosswire call chat-1 price '{{"item": "tea"}}' --embedded

`crosswire COMMAND --help` shows the options of a command. With {VARIABLE}=URL,URL
in the environment, no command needs --redis.
"""

_SERVE = """\
Run a server in one or more processes that share a port.

Each process is a node of the cluster, called NAME-1, NAME-2, ...; a process that
dies is started again. SIGTERM drains them, Ctrl-C stops them at once, and a
second signal hurries.
"""

_NODES = """\
Show the living nodes of a cluster, and the health of its Redis.
"""

_USERS = """\
Show the users that are connected, and to which nodes.
"""

_ROOMS = """\
Show the rooms that have members, and on which nodes.
"""

_KICK = """\
Close all connections of a user, wherever they are. The exit code is 1 if there
were none. After the codes 4010 (forced logout), 4011, 4012 and 1008, clients do
not come back by themselves.
"""

_TOP = """\
Show the nodes of a cluster and what they do, until q or Ctrl-C: connections,
users, rooms, messages of clients (IN/S) and to clients (OUT/S) a second, what
may have been missed (GAPS), and the health of each Redis.
"""

_SEND = """\
Send an event to nodes, where handlers of Node.on get it, or to clients, wherever
they are connected. The exit code is 1 if nobody was there to get it.
"""

_CALL = """\
Call a node, and print its answer as JSON. A refusal is printed as CODE: message.

With --all, call all nodes, and print an object with "answers" and "errors" by
name of the node, and a list of the nodes that are "missing". The exit code is 0
if all have answered.
"""

_DATA = "the event's data; - reads it from standard input (default: null)"


class Parser(argparse.ArgumentParser):
    """Parser that prints errors in one line."""

    def error(self, message: str) -> NoReturn:
        """Print an error, and end the process."""
        if message.startswith(_UNKNOWN):
            message += self._suggestion(message.removeprefix(_UNKNOWN).split())
        self.exit(USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")

    def _suggestion(self, words: Sequence[str]) -> str:
        """Return a question that names the options that are probably meant, or an empty string."""
        known = list(self._option_string_actions)
        options = (word.partition("=")[0] for word in words if word.startswith("--"))
        near = [match for option in options for match in get_close_matches(option, known, n=1)]
        return f": did you mean {', '.join(near)}?" if near else ""


class Command(NamedTuple):
    """A command of the program.

    Attributes:
        summary: line in the list of all commands.
        usage: arguments after its name, for the help.
        description: text for its help.
        add_options: adds its options to a parser.
    """

    summary: str
    usage: str
    description: str
    add_options: Callable[[Parser], None]


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Return the options, among them ``run``, the command, and ``prog``, its name.

    Bad arguments, and ``--help``, print a text and end the process.

    Args:
        words: arguments after the program's name.
    """
    name = words[0] if words else "--help"
    if name not in COMMANDS:
        return _no_command(name)
    parser = _command_parser(name)
    for word in words:
        if not has_utf8(word):
            parser.error(f"{word!r} is no UTF-8")
    # Intermixed, so that options may stand anywhere: also between the event and its data.
    return parser.parse_intermixed_args(words[1:])


def _no_command(name: str) -> NoReturn:
    """Print the commands, or an error for an unknown one, and end the process."""
    listed = "\n".join(f"  {each:<7} {command.summary}" for each, command in COMMANDS.items())
    parser = _parser("crosswire", "crosswire COMMAND ...", _ABOUT.format(commands=listed), _EXAMPLES)
    parser.add_argument("--version", action="version", version=f"crosswire {crosswire.__version__}")
    parser.add_argument("command", nargs="?", help=argparse.SUPPRESS)
    parser.parse_args([name])
    near = get_close_matches(name, COMMANDS, n=1)
    meant = f": did you mean {near[0]}?" if near else ""
    parser.error(f"there is no command {name!r}: use one of {', '.join(COMMANDS)}{meant}")


def _command_parser(name: str) -> Parser:
    command = COMMANDS[name]
    prog = f"crosswire {name}"
    parser = _parser(prog, f"{prog} {command.usage}", command.description)
    command.add_options(parser)
    parser.set_defaults(prog=prog)
    add_cluster_options(parser, serves=name == "serve")
    return parser


def _parser(prog: str, usage: str, description: str, epilog: str | None = None) -> Parser:
    return Parser(
        prog=prog,
        usage=usage,
        description=description,
        epilog=epilog,
        allow_abbrev=False,
        formatter_class=_formatter,
    )


def _formatter(prog: str) -> argparse.HelpFormatter:
    width = min(shutil.get_terminal_size().columns, _MAX_WIDTH)
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=24, width=width)


# The commands


def _serve_options(parser: Parser) -> None:
    parser.add_argument_group("what").add_argument(
        "target",
        metavar="MODULE:SERVER",
        help="a Server in a module, or a function that returns one; the module is imported from the current directory "
        "or from Python's path",
    )
    add_serve_options(parser)
    parser.set_defaults(run=serve, prepare=None)


def add_serve_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how a server is run."""
    how = parser.add_argument_group("how")
    how.add_argument(
        "--app",
        metavar="MODULE:APP",
        help="an ASGI application on the same port, or a function that returns one (default: the Server's own app=)",
    )
    how.add_argument("--workers", type=_count, default=1, metavar="N", help="processes (default: 1)")
    how.add_argument("--host", metavar="ADDRESS", help="to listen on (default: the Server's own)")
    how.add_argument("--port", type=_port, metavar="P", help="0 for a free one (default: the Server's own)")
    how.add_argument("--name", metavar="NAME", help="of the nodes (default: the Server's own, or the module's)")
    how.add_argument(
        "--drain", type=_seconds, default=10.0, metavar="SECONDS", help="to end after a SIGTERM (default: 10)"
    )
    add_tls_options(parser)


def _nodes_options(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object, for programs")
    parser.set_defaults(run=nodes)


def _users_options(parser: Parser) -> None:
    which = parser.add_argument_group("which").add_mutually_exclusive_group()
    which.add_argument("--user", dest="users", metavar="ID", action="append", help="this user; repeat it for several")
    which.add_argument("--room", metavar=("NAMESPACE", "ID"), nargs=2, help="the members of a room")
    _list_options(parser, "users")
    parser.set_defaults(run=users)


def _rooms_options(parser: Parser) -> None:
    parser.add_argument_group("which").add_argument("--namespace", metavar="TEXT", help="rooms of this namespace")
    _list_options(parser, "rooms")
    parser.set_defaults(run=rooms)


def _list_options(parser: Parser, what: str) -> None:
    parser.add_argument(
        "--starts", dest="prefix_of_ids", metavar="TEXT", default="", help=f"only {what} whose ids start with this"
    )
    parser.add_argument(
        "--limit",
        type=_limit,
        default=100,
        metavar="N",
        help=f"number of {what}, at most {MAX_LISTED} (default: 100)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, for programs")


def _kick_options(parser: Parser) -> None:
    parser.add_argument_group("whom").add_argument("user", metavar="USER", help="id of the user")
    parser.add_argument(
        "--code", type=_close_code, default=4010, metavar="CODE", help="WebSocket close code (default: 4010)"
    )
    parser.add_argument("--reason", default="", metavar="TEXT", help="that clients are told, up to 123 bytes")
    parser.add_argument("--json", action="store_true", help="print one JSON object, for programs")
    parser.set_defaults(run=kick)


def _top_options(parser: Parser) -> None:
    parser.add_argument(
        "--interval", type=_interval, default=1.0, metavar="SECONDS", help="between two looks (default: 1)"
    )
    parser.add_argument(
        "--once", action="store_true", help="print once, after one interval, as it does without a terminal"
    )
    parser.add_argument("--json", action="store_true", help="print once, one JSON object, for programs")
    parser.set_defaults(run=top)


def _send_options(parser: Parser) -> None:
    what = parser.add_argument_group("what")
    what.add_argument("event", metavar="EVENT", help="its name")
    what.add_argument("data", metavar="JSON", nargs="?", help=_DATA)
    to = parser.add_argument_group("to whom").add_mutually_exclusive_group(required=True)
    to.add_argument("--to", metavar="NODE", action="append", help="this node; repeat it for several")
    to.add_argument("--nodes", action="store_true", help="all nodes")
    to.add_argument("--everyone", action="store_true", help="every client of every server")
    to.add_argument("--user", dest="users", metavar="ID", action="append", help="this user; repeat it for several")
    to.add_argument("--users", metavar="ID,ID", action="extend", type=_ids, help="these users, in one word")
    to.add_argument("--room", metavar=("NAMESPACE", "ID"), nargs=2, help="the members of a room")
    parser.set_defaults(run=send)


def _call_options(parser: Parser) -> None:
    what = parser.add_argument_group("what")
    what.add_argument("words", metavar="NODE EVENT JSON", nargs="+", help=f"JSON is {_DATA}")
    what.add_argument("--all", action="store_true", help="call all nodes; leave NODE out")
    what.add_argument("--timeout", type=_seconds, default=5.0, metavar="SECONDS", help="to wait (default: 5)")
    parser.set_defaults(run=call)


COMMANDS = {
    "serve": Command(
        "run a server in one or more processes",
        "MODULE:SERVER [--workers N] [--port P] [--redis URL | --embedded] ...",
        _SERVE,
        _serve_options,
    ),
    "nodes": Command(
        "show the nodes of a cluster, and the health of its Redis",
        "[--json] [--redis URL | --embedded]",
        _NODES,
        _nodes_options,
    ),
    "send": Command(
        "send an event to nodes or clients",
        "EVENT [JSON] (--to NODE | --nodes | --everyone | --user ID | --room NAMESPACE ID) ...",
        _SEND,
        _send_options,
    ),
    "call": Command(
        "call a node, or all of them, and print the answer",
        "(NODE | --all) EVENT [JSON] [--timeout SECONDS] ...",
        _CALL,
        _call_options,
    ),
    "users": Command(
        "show the users that are connected, and to which nodes",
        "[--user ID | --room NAMESPACE ID] [--starts TEXT] [--limit N] [--json] ...",
        _USERS,
        _users_options,
    ),
    "rooms": Command(
        "show the rooms that have members, and on which nodes",
        "[--namespace TEXT] [--starts TEXT] [--limit N] [--json] ...",
        _ROOMS,
        _rooms_options,
    ),
    "kick": Command(
        "close all connections of a user",
        "USER [--code CODE] [--reason TEXT] [--json] ...",
        _KICK,
        _kick_options,
    ),
    "top": Command(
        "show the nodes and what they do, again and again",
        "[--once] [--json] [--interval SECONDS] ...",
        _TOP,
        _top_options,
    ),
}


# Their values


def _count(text: str) -> int:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no number of processes: give 1 or more")


def _port(text: str) -> int:
    if text.isdecimal() and int(text) <= 65_535:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no port: give 0 to 65535")


def _limit(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= MAX_LISTED:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no limit: give 1 to {MAX_LISTED}")


def _close_code(text: str) -> int:
    if text.isdecimal() and may_be_sent(int(text)):
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} can't be sent as a close code: {SENDABLE}")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = inf
    if 0 <= seconds <= MAX_SECONDS:
        return seconds
    if MAX_SECONDS < seconds < inf:
        raise argparse.ArgumentTypeError(f"{text!r} is too long: give {MAX_SECONDS:.0f} seconds or less")
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")


def _interval(text: str) -> float:
    seconds = _seconds(text)
    if seconds >= MIN_INTERVAL:
        return seconds
    raise argparse.ArgumentTypeError(f"{text!r} is too short an interval: give {MIN_INTERVAL} or more")


def _ids(text: str) -> list[str]:
    return text.split(",")
