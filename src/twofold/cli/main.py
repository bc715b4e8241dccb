"""Entry point of the command line: general help, error messages and exit codes.

Modules that are slow to import are imported only when a command runs. Thus Ctrl-C is always reported in one line.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress

from twofold.cli.output import Output, lasting_output, remarks_as_notes, say
from twofold.cli.signals import Stop
from twofold.errors import SettingError, TwofoldError, unknown

HELP = """\
twofold: train neural nets with the Forward-Forward algorithm, without backpropagation

usage: twofold COMMAND [ARGUMENTS]
       twofold COMMAND --help

Train and test
  twofold train RECIPE [--field value ...]   train a net, test it and plot its results, in a new run folder
  twofold train --data PATH                  train on your own data: a folder of class folders, an .npz file, a table
                                             with --label COLUMN, or an IDX file
      --with-twin                            also train the backprop twin and compare the two
      --resume                               resume an interrupted run; the final weights are the same, bit by bit
      --from RUN                             continue to train the net of a complete run, in a new run folder
  twofold eval RUN --test slow|fast|...      test a trained net again
  twofold predict RUN PICTURE...             classify pictures, or the rows of a table
  twofold plot RUN                           plot the results of a run again
  twofold tune RECIPE --trials N             tune a recipe and its twin on held-out images, N settings each

Recipes
{recipes}
  RECIPE-twin (its backprop twin)            the same layers, trained by backpropagation; most recipes have one

Claims of Hinton's talk
  twofold claims                             list the claims and the measured results
  twofold claims show ID                     show a claim: its rules, verdicts and measured values
  twofold claims run ID --size smoke|full    measure a claim; with smoke, a small version in seconds; with full, the
                                             real experiment
  twofold claims draw ID --size smoke|full   plot the result of a claim

Benchmarks
  twofold bench                              list the benchmarks
  twofold bench NAME                         run a benchmark on this machine, such as speed compared with the twin

Export
  twofold export RUN --to onnx|safetensors   export a net to one file: ONNX, or safetensors for twofold.load
  twofold push RUN REPO                      upload a net and its model card to the Hugging Face Hub
  twofold pull REPO                          download a net from the Hub to a file, which other commands accept as RUN

Hardware
  twofold instrument serve --device NAME     run a simulated analog device, for a training run in another process

Data
  twofold data get NAME                      find or download a data set, and verify it
      data sets: {datasets}
      searched in --data-dir, $TWOFOLD_DATA and the user's cache folder, then downloaded

Most commands accept --json, which prints the result as one JSON object in the last line of the output.
Example that needs no download:  twofold train digits --with-twin
"""

INTERRUPTED = "interrupted; repeat the command to continue"
"""Message for an interrupted command that has no message of its own."""


def main(words: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        words: Words of the command line after ``twofold``; by default the words of the command line of this process.

    Returns:
        The exit code: 0 on success, 1 after an error (reported in one line), 128 + N after signal N (Ctrl-C: 130).
    """
    stop = Stop(last=words is None)
    try:
        with stop, lasting_output() as out, remarks_as_notes():
            return _answer(list(sys.argv[1:] if words is None else words), stop, out)
    except KeyboardInterrupt:  # before the command has started or after it has ended
        say(INTERRUPTED)
        return stop.code


def _answer(words: Sequence[str], stop: Stop, out: Output) -> int:
    """Run a command, report errors and interrupts, and return the exit code."""
    try:
        with suppress(SystemExit):  # after printing the help of a command
            _run(words)
        out.flush()
    except KeyboardInterrupt as interrupt:
        stop.ignore()
        say(str(interrupt) or INTERRUPTED)
        return stop.code
    except Exception as error:
        if stop.number is not None:  # the interrupt was replaced by another error, e.g. during an import
            stop.ignore()
            say(INTERRUPTED)
            return stop.code
        say(f"error: {_one_line(error)}")
        return 1
    if out.lost:
        say(f"error: cannot write to stdout ({out.lost}); the files of the command were saved")
        return 1
    return 0


def _one_line(error: Exception) -> str:
    """Return the one-line message of an expected error. Re-raise unexpected errors, which are bugs."""
    match error:
        case TwofoldError():
            return str(error)
        case OSError(filename=str() | bytes() as path):
            return f"{path!s}: {error.strerror or error}; check the path and its permissions"
        case OSError() | UnicodeError():
            return str(error)
    raise error


def _help() -> None:
    from twofold.cli import report
    from twofold.data import DATASETS

    print(HELP.format(recipes=report.recipes(), datasets=", ".join(DATASETS)))


def _run(words: Sequence[str]) -> None:
    if not words or words[0] in ("--help", "-h", "help"):
        _help()
    elif words[0] == "--version":
        from importlib.metadata import version

        print(version("twofold"))
    else:
        _expect_values(words)
        from importlib.metadata import entry_points

        from twofold.cli.commands import COMMANDS
        from twofold.machine import limit_threads

        command, *words = words
        others = {entry.name: entry for entry in entry_points(group="twofold.commands")}
        if command not in COMMANDS and command not in others:
            raise unknown("command", command, [*COMMANDS, *others])
        limit_threads()
        (COMMANDS[command] if command in COMMANDS else others[command].load())(words)


def _expect_values(words: Sequence[str]) -> None:
    """Check that no value is empty or has invalid characters. An empty path would mean the current folder.

    Raises:
        SettingError: a word is empty or invalid.
    """
    for before, word in zip(("", *words), words, strict=False):
        option, equals, value = word.partition("=")
        if not word.startswith("--"):
            option, equals, value = before if before.startswith("--") else "an argument", "=", word
        if equals and not value:
            raise SettingError(f"{option} is empty: give it a value or omit it")
        if any(char == "\0" or "\ud800" <= char <= "\udfff" for char in word):
            raise SettingError(f"{option} is {value!a}, which has invalid characters: use another name")
