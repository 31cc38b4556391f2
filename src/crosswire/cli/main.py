"""The program ``crosswire``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from crosswire.cli.arguments import parse
from crosswire.cli.failures import INTERRUPTED, RUNTIME, USAGE, CommandFailed, described
from crosswire.errors import CrosswireError, UsageError


def main(words: Sequence[str] | None = None) -> int:
    """Run a command and return the exit code: 0, 1 if it failed, 2 if its arguments are wrong.

    Args:
        words: arguments after the program's name; None for those of this process.
    """
    options = parse(sys.argv[1:] if words is None else words)
    try:
        code: int = options.run(options)
        return code
    except CommandFailed as failure:
        return _failed(options.prog, failure.text, failure.exit_code)
    except UsageError as error:
        return _failed(options.prog, str(error), USAGE)
    except CrosswireError as error:
        return _failed(options.prog, described(error), RUNTIME)
    except KeyboardInterrupt:
        return INTERRUPTED


def _failed(prog: str, text: str, exit_code: int) -> int:
    """Print a failure: of the arguments as argparse does, else with its code first."""
    print(f"{prog}: {text}" if exit_code == USAGE else text, file=sys.stderr, flush=True)
    return exit_code
