"""The entry point of the command line: the help, and how a command ends.

What takes long to import is imported while a command runs, so that Ctrl-C is answered in one line from the beginning.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress

from twofold.cli.output import Output, lasting_output, remarks_as_notes, say
from twofold.cli.signals import Stop
from twofold.errors import SettingError, TwofoldError, unknown

HELP = """\
twofold: learning with two forward passes and no backpropagation

usage: twofold COMMAND [ARGUMENTS]      every command has a --help of its own

Train and look
  twofold train RECIPE [--field value ...]   train a net, test it, draw its pictures; all into a run folder
  twofold train --data PATH                  the same with data of your own: a folder of class folders, an .npz, a
                                             table with --label COLUMN, or an IDX file
      --with-twin                            train the backprop twin too and print both side by side
      --resume                               go on with an interrupted run, to bitwise the same weights
      --from RUN                             train the net of a complete run further, in a folder of its own
  twofold eval RUN --test slow|fast|...      test a trained net again
  twofold predict RUN PICTURE...             the label of pictures of your own, of any kind, or of a table's rows
  twofold plot RUN                           draw the pictures again
  twofold tune RECIPE --trials N             try as many settings of the recipe as of its twin, on held-out images

Recipes
{recipes}
  RECIPE-twin, where there is one, is the twin: the same layers trained by backpropagation

The talk, claim by claim
  twofold claims                             the ledger: what was claimed, what was measured
  twofold claims run ID --size smoke|full    run one: seconds on the embedded data, or the real thing
  twofold claims draw ID --size smoke|full   draw the picture of one: top-down, moving, relax, analog, black-box,
                                             cancel, mortal, power or regime

How fast, how large, beside the twin
  twofold bench NAME                         interleaved measurements on this machine, a table and a picture
      names: {benchmarks}

Nets that leave
  twofold export RUN --to onnx|safetensors   one file: ONNX with all tests, or what twofold.load reads
  twofold push RUN REPO                      to the Hugging Face hub, with a model card
  twofold pull REPO                          from there, by revision and digest; RUN may be the file that it writes

Hardware in the loop
  twofold instrument serve --device NAME     a simulated instrument for a training in another process to use

Data
  twofold data get NAME                      find or download a data set, and check it
      names: {datasets}
      looked for in --data-dir, then $TWOFOLD_DATA, then the cache folder of the platform; else downloaded

Most commands take --json: the answer is then one JSON object, the last line of the output.
A first try that needs no download:  twofold train digits --with-twin
"""

INTERRUPTED = "interrupted; to go on, repeat the command"
"""Said where a command was stopped before it has changed anything that it could go on with."""


def main(words: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        The exit code: 0, 1 after an error, which is reported in one line, or 128 + N after signal N (Ctrl-C: 130).
    """
    stop = Stop(last=words is None)
    try:
        with stop, lasting_output() as out, remarks_as_notes():
            return _answer(list(sys.argv[1:] if words is None else words), stop, out)
    except KeyboardInterrupt:  # before the command has begun, or when it has ended
        say(INTERRUPTED)
        return stop.code


def _answer(words: Sequence[str], stop: Stop, out: Output) -> int:
    """Run a command and say how it has ended; the exit code."""
    try:
        with suppress(SystemExit):  # the help of a command was printed
            _run(words)
        out.flush()
    except KeyboardInterrupt as interrupt:
        stop.ignore()
        say(str(interrupt) or INTERRUPTED)
        return stop.code
    except Exception as error:
        if stop.number is not None:  # an interrupt that became another error on its way, as within an import
            stop.ignore()
            say(INTERRUPTED)
            return stop.code
        say(f"error: {_one_line(error)}")
        return 1
    if out.lost:
        say(f"error: the answer cannot be written to stdout ({out.lost}): what the command saves in files is saved")
        return 1
    return 0


def _one_line(error: Exception) -> str:
    """Say what was wrong about the input; a bug of ours is raised again, for its traceback."""
    match error:
        case TwofoldError():
            return str(error)
        case OSError(filename=str() | bytes() as path):
            return f"{path!s}: {error.strerror or error}; check the path and its permissions"
        case OSError() | UnicodeError():
            return str(error)
    raise error


def _help() -> None:
    from twofold.benchmarks import BENCHMARKS
    from twofold.cli import report
    from twofold.data import DATASETS

    print(HELP.format(recipes=report.recipes(), datasets=", ".join(DATASETS), benchmarks=", ".join(BENCHMARKS)))


def _run(words: Sequence[str]) -> None:
    if not words or words[0] in ("--help", "-h", "help"):
        _help()
    elif words[0] == "--version":
        from importlib.metadata import version

        print(version("twofold"))
    else:
        _expect_values(words)
        from twofold.cli.commands import COMMANDS
        from twofold.machine import limit_threads

        command, *words = words
        if command not in COMMANDS:
            raise unknown("command", command, COMMANDS)
        limit_threads()
        COMMANDS[command](words)


def _expect_values(words: Sequence[str]) -> None:
    """Raise if a word is empty, which as a path would be the current folder, or is no text, which not all can read."""
    for before, word in zip(("", *words), words, strict=False):
        option, equals, value = word.partition("=")
        if not word.startswith("--"):
            option, equals, value = before if before.startswith("--") else "a word", "=", word
        if equals and not value:
            raise SettingError(f"{option} is empty: give it a value, or leave it away")
        if any(each == "\0" or "\ud800" <= each <= "\udfff" for each in word):
            raise SettingError(f"{option} has {value!a}, which is no text: give another name")
