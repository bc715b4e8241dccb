"""The entry point of the command line: the table of commands, the help, and one-line error messages."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from twofold.errors import TwofoldError, unknown

HELP = """\
twofold: learning with two forward passes and no backpropagation

usage: twofold COMMAND [ARGUMENTS]      every command has a --help of its own

Train and look
  twofold train RECIPE [--field value ...]   train a net, test it, draw its pictures; all into a run folder
      --with-twin                            train the backprop twin too and print both side by side
      --resume                               go on with an interrupted run, to bitwise the same weights
  twofold eval RUN --test slow|fast|...      test a trained net again
  twofold predict RUN IMAGE.png              which label each test gives to a picture of your own
  twofold plot RUN                           draw the pictures again

Recipes
{recipes}
  RECIPE-twin, where there is one, is the twin: the same layers trained by backpropagation

The talk, claim by claim
  twofold claims                             the ledger: what was claimed, what was measured
  twofold claims run ID --size smoke|full    run one: seconds on the embedded data, or the real thing
  twofold claims draw ID --size smoke|full   draw the picture of one: top-down, moving, relax or regime

How fast, how large, beside the twin
  twofold bench NAME                         interleaved measurements on this machine, a table and a picture
      names: {benchmarks}

Data
  twofold data get NAME                      find or download a data set, and check it
      names: {datasets}
      looked for in --data-dir, then $TWOFOLD_DATA, then the cache folder of the platform; else downloaded

Most commands take --json: the answer is then one JSON object, the last line of the output.
A first try that needs no download:  twofold train digits --with-twin
"""


def main(words: Sequence[str] | None = None) -> int:
    """Run a command. The exit code is 0, 1 after an error, which is reported in one line, or 130 after Ctrl-C."""
    words = list(sys.argv[1:] if words is None else words)
    try:
        if not words or words[0] in ("--help", "-h", "help"):
            _help()
        elif words[0] == "--version":
            print(version("twofold"))
        else:
            _run(words[0], words[1:])
    except SystemExit:  # the help of a command was printed
        return 0
    except TwofoldError as error:
        print(f"twofold: error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of the output has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print(
            "twofold: interrupted; every finished epoch is saved: repeat the command with --resume to go on",
            file=sys.stderr,
        )
        return 130
    return 0


def _help() -> None:
    from twofold.benchmarks import BENCHMARKS
    from twofold.cli import report
    from twofold.data import DATASETS

    print(HELP.format(recipes=report.recipes(), datasets=", ".join(DATASETS), benchmarks=", ".join(BENCHMARKS)))


def _run(command: str, words: Sequence[str]) -> None:
    from twofold.cli.commands import COMMANDS
    from twofold.machine import limit_threads

    if command not in COMMANDS:
        raise unknown("command", command, COMMANDS)
    limit_threads()
    COMMANDS[command](words)
