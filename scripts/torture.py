"""Test the safety of runs: kill, disturb and damage training runs in every way that docs/reliability.md covers.

    python scripts/torture.py [--minutes 25] [--json FILE] [--only WORD] [--seed N]

- kills: training runs of all families are killed at random moments and resumed until they are complete;
- folders: two processes use one run folder at once;
- disks: a small disk is full, from the beginning or from a random moment on;
- bits: one bit in one file is flipped;
- words: the program reads randomly generated run files and command lines.

The script prints a table. If all checks were run, it writes results/reliability.json, or FILE. The exit code is 1 if
anything is lost, mixed up, undetected or reported in more than one line, or if the time limit is exceeded. The script
takes about a quarter of an hour on two cores.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import NamedTuple

import sklearn.datasets  # noqa: F401 (imported once, before the forks, because it takes long)
import torch
import torture_bits
import torture_disks
import torture_folders
import torture_kills
import torture_words
from torture_processes import RIVALS, TRAININGS, Reference, Tally, reference

from twofold import machine
from twofold.cli import commands  # noqa: F401
from twofold.files import write_signed
from twofold.plots import panels  # noqa: F401
from twofold_lab.benchmarks.reliability import faults

ROOT = Path(__file__).resolve().parents[1]

WANTED = {
    "kills": {"kills": 100},
    "folders": {"meetings": 100},
    "disks": {"full disks": 50},
    "bits": {"flipped bits": 500},
    "words": {"cases in one process": 2000, "cases as processes": 50},
}
"""Minimum number of trials of each check."""


class Job(NamedTuple):
    """A section of a check, which runs in one worker process."""

    check: str
    work: Callable[[], Tally]


def jobs(expected: Mapping[str, Reference], seed: int) -> Iterator[Job]:
    """Yield all jobs, the longest first."""
    for part in range(4):
        yield Job("words", partial(torture_words.fuzz_all, 500, 10, 3, seed + part))
    for offload in (False, True):
        for name, training in TRAININGS.items():
            if training.offloads or not offload:
                words = ["--offload"] if offload else []
                yield Job("kills", partial(torture_kills.kills, name, expected[name], words, 10, False, seed))
                yield Job("disks", partial(torture_disks.full_disks, name, expected[name], words, 6, seed))
    for name in list(TRAININGS)[:5]:
        yield Job("kills", partial(torture_kills.kills, name, expected[name], [], 1, True, seed))
    for kind in torture_folders.KINDS:
        for part in range(2):
            yield Job("folders", partial(torture_folders.rounds, kind, expected, 15, seed + part))
    for flipped in torture_bits.KINDS:
        yield Job("bits", partial(torture_bits.flips, flipped, 65, 5, seed))


def in_time(job: Job) -> tuple[str, Tally, float]:
    """Run a job; return the name of its check, its tally and its duration in seconds."""
    begun = time.monotonic()
    return job.check, job.work(), time.monotonic() - begun


def expectation(name: str) -> Reference:
    """Return the outcome of an undisturbed training run."""
    with tempfile.TemporaryDirectory() as folder:
        return reference({**TRAININGS, **RIVALS}[name], Path(folder))


def torture(only: str, seed: int) -> dict[str, tuple[Tally, float]]:
    """Run the checks whose names contain ``only``; return the tally and the seconds of each check."""
    found = {check: (Tally(), 0.0) for check in WANTED if only in check}
    fork = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=fork) as pool:
        names = [*TRAININGS, *RIVALS]
        expected = dict(zip(names, pool.map(expectation, names), strict=True))
        chosen = [job for job in jobs(expected, seed) if job.check in found]
        for number, done in enumerate(as_completed(pool.submit(in_time, job) for job in chosen), 1):
            check, tally, seconds = done.result()
            found[check] = (found[check][0] + tally, found[check][1] + seconds)
            for kind, story in tally.faults:
                print(f"{check}: {kind}: {story}", flush=True)
            print(f"{number} of {len(chosen)} parts done, {check}, {seconds:.0f} s", file=sys.stderr, flush=True)
    return found


def main() -> int:
    """Run the checks, print the table and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=25, help="time limit")
    parser.add_argument("--json", type=Path, default=ROOT / "results" / "reliability.json", help="path of the record")
    parser.add_argument("--only", default="", help="run only the checks whose names contain this word")
    parser.add_argument("--seed", type=int, default=0, help="random seed")
    options = parser.parse_args()
    torch.set_num_threads(1)  # threads do not survive a fork
    os.environ["OMP_NUM_THREADS"] = "1"
    begun = time.monotonic()
    found = torture(options.only, options.seed)
    seconds = time.monotonic() - begun
    checks = {
        check: {
            "tried": dict(tally.tried),
            "faults": dict(sorted(tally.kinds().items())),
            "seconds of one core": round(took),
        }
        for check, (tally, took) in found.items()
    }
    enough = all(found[check][0].tried[what] >= least for check in found for what, least in WANTED[check].items())
    holds = enough and not any(tally.faults for tally, _ in found.values()) and seconds <= 60 * options.minutes
    print(f"{'all holds' if holds else 'NOT ALL HOLDS'}; {seconds / 60:.1f} minutes, {options.minutes:g} allowed")
    record = {
        "holds": holds,
        "checks": checks,
        "minutes": round(seconds / 60, 1),
        "minutes allowed": options.minutes,
        "full disks are": "small disks" if torture_disks.can_mount() else "limits of the size of a file",
        "seed": options.seed,
        "environment": machine.describe(torch.device("cpu")),
    }
    print(f"\n{faults(record)}")
    if not options.only:
        write_signed(options.json, record)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
