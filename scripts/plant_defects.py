"""Plant mistakes in a copy of the source, one at a time, and require that the test of each mistake fails.

    python scripts/plant_defects.py [WORD ...]    only the defects whose names contain one of the words

The mistakes are listed in tests/defects.py. They are numerical and algorithmic mistakes that no tool generates.
scripts/plant_mutants.py plants random ones. The tests first run without any defect and have to pass. The script prints
a table, and its exit code is 1 if a test passes in spite of its defect.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import sklearn.datasets  # noqa: F401
import torch
from find_defects import ROOT, SOURCE, find

torch.set_num_threads(1)  # threads do not survive a fork


def run(
    source: Path, arguments: Sequence[str], plugins: Sequence[object] = (), seconds: float = 3600
) -> tuple[int, str]:
    """Run pytest on the package in ``source``, and return its exit code and its output.

    pytest runs in a fork, so that torch is imported only once. The exit code is negative if a signal ended the fork,
    and 99 if the fork failed. The fork is killed after ``seconds`` of processor time, or after ten times as many
    seconds of real time.
    """
    with tempfile.TemporaryFile() as file:
        if (child := os.fork()) == 0:
            code = 99
            try:
                os.setpgid(0, 0)
                resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), resource.RLIM_INFINITY))
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
                os.environ["PYTHONPATH"] = str(source)  # for processes that the tests start
                sys.path.insert(0, str(source))
                code = int(pytest.main(["-q", "-n", "0", "-p", "no:cacheprovider", *arguments], list(plugins)))
                if code == pytest.ExitCode.OK and sys.modules["twofold"].__path__[0] != str(source / "twofold"):
                    code = 99
            finally:
                sys.stdout.flush()
                os._exit(code)
        end = time.monotonic() + 10 * seconds
        while not (ended := os.waitpid(child, os.WNOHANG))[0]:
            time.sleep(0.02)
            if time.monotonic() > end:
                os.killpg(child, signal.SIGKILL)
                end = float("inf")
        file.seek(0)
        return os.waitstatus_to_exitcode(ended[1]), file.read().decode(errors="replace")


def main(words: list[str]) -> int:
    """Plant each defect and run its test; return 1 if a test passes in spite of its defect, otherwise 0."""
    entries = find(words)
    os.chdir(ROOT)
    code, said = run(SOURCE, sorted({node for _, _, node in entries}))
    if code != pytest.ExitCode.OK:
        sys.exit(f"{said}\nthe tests fail without any defect: correct them first")
    caught = 0
    for defect, place, node in entries:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder)
            shutil.copytree(SOURCE, copy, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
            planted = place.before + place.code.replace(defect.good, defect.bad) + place.after
            (copy / place.path).write_text(planted, encoding="utf-8")
            code, said = run(copy, ["-x", node])
        if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            sys.exit(f"{node} did not run with the defect {defect.name!r} ({code}):\n{said}")
        caught += code == pytest.ExitCode.TESTS_FAILED
        print(f"{'caught' if code else 'SURVIVED':8}  {defect.name:60}  {defect.test}", flush=True)
    print(f"\n{caught} of {len(entries)} defects caught")
    return 1 if caught < len(entries) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
