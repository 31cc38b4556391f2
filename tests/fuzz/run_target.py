"""Fuzzes one target with atheris, in a process of its own: ``python -m tests.fuzz.run_target TARGET [OPTION ...]``.

The options are libFuzzer's, which mutates the inputs, and keeps those that reach something new. It ends the process.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

INSTRUMENTED = ["crosswire", "httptools", "msgspec", "websockets.protocol", "websockets.frames", "websockets.http11"]


def main() -> None:
    """Fuzz the target that the command line names."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=INSTRUMENTED, enable_loader_override=False):
        corpus = importlib.import_module("tests.fuzz.corpus")
        bounds = importlib.import_module("tests.fuzz.target").Bounds()
    name, *options = sys.argv[1:]
    target = corpus.TARGETS[name]()
    target.start()
    atheris.Setup([sys.argv[0], *options], lambda data: bounds.run(target, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
