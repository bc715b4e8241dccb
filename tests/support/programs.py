"""Python programs in processes of their own, forked from a server that has imported the libraries beneath twofold."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import sys
from pathlib import Path
from typing import NamedTuple

import twofold

LIBRARIES = ["torch", "sklearn.pipeline", "sklearn.model_selection", "scipy.stats", "safetensors.torch", "PIL.Image"]
"""What the server imports. Programs import twofold anew, as they would in a shell."""

SOURCE, TESTS = Path(twofold.__file__).parents[1], Path(__file__).parents[1]


class Ended(NamedTuple):
    """Exit code of a program and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def run_program(path: Path, folder: Path, *arguments: str) -> Ended:
    """Run a Python file as a program without input, in a new process.

    Args:
        path: the file.
        folder: an existing folder: the working directory, which also receives the output.
        arguments: the arguments of the command line.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LIBRARIES)
    process = context.Process(target=_program, args=(path, folder, arguments))
    process.start()
    process.join()
    assert process.exitcode is not None
    return Ended(process.exitcode, *((folder / name).read_text("utf-8") for name in ("stdout", "stderr")))


def _program(path: Path, folder: Path, arguments: tuple[str, ...]) -> None:
    os.chdir(folder)
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    sys.argv = [str(path), *arguments]
    sys.path[:] = [str(path.parent), str(SOURCE), *(place for place in sys.path if place != str(TESTS))]
    os.environ["PYTHONPATH"] = str(SOURCE)
    runpy.run_path(str(path), run_name="__main__")
