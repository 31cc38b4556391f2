"""Fuzzes targets, one after the other: ``make fuzz``, or ``python -m tests.fuzz [TARGET ...] --seconds 60``.

What the fuzzer finds out about the code is kept in a temporary folder; with ``--keep`` the inputs that reach something
new are added to the corpus. An input that breaks a promise is written to ``.fuzz/`` and printed.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz.corpus import FOLDER, TARGETS

ROOT = Path(__file__).resolve().parents[2]
FINDINGS = ROOT / ".fuzz"
MAX_INPUT = 4096
"""Bytes of the longest input."""
INPUT_TIMEOUT = 20
"""Seconds after which an input counts as one that hangs."""
MAX_MEMORY = 2048
"""Mebibytes that the process may have."""
MAX_KEPT = 1500
"""Bytes of the longest input that is kept."""
_DONE = re.compile(r"^Done (\d+) runs in (\d+) second", re.MULTILINE)
_COVERAGE = re.compile(r"cov: (\d+) ft: (\d+)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz; return 0 if nothing was found, 1 if something was, 2 if the fuzzer is missing."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"default: all of {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default: 60)")
    parser.add_argument("--keep", action="store_true", help="add inputs that reach something new to the corpus")
    options = parser.parse_args(arguments)
    if unknown := set(options.targets) - set(TARGETS):
        parser.error(f"there is no target {', '.join(sorted(unknown))}")
    if importlib.util.find_spec("atheris") is None:
        print("atheris is missing: `make fuzz` installs it, or pip install --group fuzz", file=sys.stderr)
        return 2
    failed = [name for name in options.targets or TARGETS if not fuzz(name, options.seconds, keep=options.keep)]
    print(f"\n{'nothing was found' if not failed else 'found: ' + ', '.join(failed)}")
    return 1 if failed else 0


def fuzz(name: str, seconds: int, *, keep: bool) -> bool:
    """Fuzz a target, and print what was done; return whether it kept its promises."""
    FINDINGS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"fuzz-{name}-") as folder:
        found, corpus = Path(folder, "found"), FOLDER / name
        found.mkdir()
        output, code = _run(name, [str(found), str(corpus), f"-max_total_time={seconds}", "-print_final_stats=0"])
        _tell(name, output, corpus, found)
        if code == 0 and keep:
            _keep(name, found, Path(folder, "kept"))
    if code != 0:
        print(output[-6000:])
    return code == 0


def _run(name: str, options: Sequence[str]) -> tuple[str, int]:
    command = [
        *(sys.executable, "-m", "tests.fuzz.run_target", name, *options),
        f"-max_len={MAX_INPUT}",
        f"-timeout={INPUT_TIMEOUT}",
        f"-rss_limit_mb={MAX_MEMORY}",
        f"-artifact_prefix={FINDINGS}/{name}-",
    ]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    return done.stdout, done.returncode


def _tell(name: str, output: str, corpus: Path, found: Path) -> None:
    done, coverage = _DONE.search(output), _COVERAGE.findall(output)
    runs = f"{int(done[1]):,} inputs in {done[2]} s" if done else "ended early"
    first, last = (coverage[0][1], coverage[-1][1]) if coverage else ("?", "?")
    seeds, new = len(list(corpus.iterdir())), len(list(found.iterdir()))
    print(f"{name:15} {runs}; features {first} -> {last}; {seeds} inputs in the corpus, {new} new", flush=True)


def _keep(name: str, found: Path, kept: Path) -> None:
    """Add those of the found inputs to the corpus that it needs to reach what they reach."""
    kept.mkdir()
    small = [file for file in found.iterdir() if file.stat().st_size <= MAX_KEPT]
    for file in found.iterdir():
        if file not in small:
            file.unlink()
    corpus = FOLDER / name
    for file in corpus.iterdir():
        shutil.copy(file, kept)
    before = {file.name for file in kept.iterdir()}
    output, code = _run(name, ["-merge=1", str(kept), str(found)])
    if code != 0:
        print(output[-3000:])
        return
    added = [file for file in kept.iterdir() if file.name not in before]
    for file in added:
        shutil.copy(file, corpus)
    print(f"{name:15} {len(added)} inputs were added to the corpus")


if __name__ == "__main__":
    sys.exit(main())
