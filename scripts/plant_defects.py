"""Are the tests awake? Plant one-line defects in a copy of the source, one at a time, and demand that each is caught.

    python scripts/plant_defects.py [WORD ...]    only the defects whose name has one of the words

The defects lie beside the tests, in tests/*/defects*.py. For each, the test that should catch it runs against the copy,
by PYTHONPATH. That all of them pass without a defect is tried first. Prints a table; the exit code is 1 where a defect
survives. Takes seven minutes of one core.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pytest
import sklearn.datasets  # noqa: F401
import torch
from find_defects import ROOT, SOURCE, find


def failure(source: Path, nodes: Iterable[str], *options: str) -> str:
    """What pytest says if a test fails on the package in ``source``. That tests cannot run is no failure.

    In a fork, so that what takes longest, importing torch, is done once; 99 is what a fork that fails says.
    """
    with tempfile.TemporaryFile() as file:
        if (child := os.fork()) == 0:
            code = 99
            try:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
                os.environ["PYTHONPATH"] = str(source)  # for what the tests start
                sys.path.insert(0, str(source))
                found = pytest.main(["-q", "-x", "-p", "no:cacheprovider", *options, *nodes])
                if sys.modules["twofold"].__path__[0] == str(source / "twofold"):
                    code = int(found)
            finally:
                sys.stdout.flush()
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        file.seek(0)
        said = file.read().decode()
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED):
        sys.exit(f"{' '.join(nodes)} did not run on {source} ({code}):\n{said}")
    return said if code == pytest.ExitCode.TESTS_FAILED else ""


def main(words: list[str]) -> int:
    """Try each defect; the exit code is 1 where one survives, or where the tests fail without any."""
    found = find(words)
    torch.set_num_threads(1)  # threads do not survive a fork
    os.chdir(ROOT)
    if said := failure(SOURCE, sorted({node for _, _, node in found})):
        sys.exit(f"{said}\nthe tests fail without any defect: nothing can be said of what they catch")
    quick = slow = 0
    for defect, place, node in found:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder)
            shutil.copytree(SOURCE, copy, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
            planted = place.before + place.code.replace(defect.good, defect.bad) + place.after
            (copy / place.path).write_text(planted, encoding="utf-8")
            by_quick = bool(failure(copy, [node], "-m", "not slow"))
            by_slow = not by_quick and bool(failure(copy, [node]))
        quick, slow = quick + by_quick, slow + by_slow
        outcome = "caught" if by_quick or by_slow else "SURVIVED"
        print(f"{outcome:8}  {defect.name:50}  {defect.test}{' (slow)' if by_slow else ''}", flush=True)
    print(f"\n{quick + slow} of {len(found)} defects caught, {quick} of them by tests that are not slow")
    return 1 if quick + slow < len(found) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
