"""The command line, called as a shell would call it."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from typing import Any

from twofold.cli.main import main

SMALL = ["--widths", "20", "16", "--epochs", "2", "--device", "cpu", "--precision", "fp32"]
"""Of a training that takes a second."""

PROGRAM = [
    *(sys.executable, "-c"),
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a parent may have it ignored
    "from twofold.cli import progress; progress.EVERY = 0\n"  # a line for every epoch
    "from twofold.cli.main import main; sys.exit(main())",
]
"""The program as a process of its own."""


def answer(words: list[str]) -> tuple[int, list[str], list[str]]:
    """Exit code, lines of stdout and lines of stderr."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    return code, out.getvalue().splitlines(), err.getvalue().splitlines()


def facts(words: list[str]) -> Any:
    """The JSON on the last line of a command that succeeds."""
    code, out, _ = answer([*words, "--json"])
    assert code == 0
    return json.loads(out[-1])
