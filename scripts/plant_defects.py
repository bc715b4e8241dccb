"""Are the tests awake? Plant one-line defects in a copy of the source, one at a time, and demand that each is caught.

    python scripts/plant_defects.py [WORD ...]    only the defects whose name has one of the words

For each defect the tests that should catch it run against the copy, by PYTHONPATH; they pass on the copy without a
defect, which is tried first. Prints a table; the exit code is 1 where a defect survives. Takes about two minutes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]


class Defect(NamedTuple):
    """``good`` in ``file``, where it stands exactly once, becomes ``bad``; ``tests`` should fail: a file and words."""

    name: str
    file: str
    good: str
    bad: str
    tests: str


DEFECTS = [
    Defect("negative data are liked too", "layers.py", "[more, -less]", "[more, less]", "test_layers -k written_out"),
    Defect(
        "the threshold is not used", "layers.py", "goodness - self.threshold", "goodness", "test_layers -k written_out"
    ),
    Defect(
        "the mean is subtracted",
        "normalize.py",
        "flat = activity.flatten(1)",
        "flat = activity.flatten(1) - activity.flatten(1).mean(1, keepdim=True)",
        "test_ground -k mean",
    ),
    Defect(
        "a negative may carry the true label",
        "negatives.py",
        "torch.randint(1, classes",
        "torch.randint(0, classes",
        "test_ground -k true_label",
    ),
    Defect(
        "a hard negative may be true",
        "negatives.py",
        ".scatter(1, labels[:, None], -torch.inf)",
        "",
        "test_ground -k true_label",
    ),
    Defect(
        "peer normalization is gated away",
        "layers.py",
        "pull[None].to(some.dtype)]",
        "pull[None].to(some.dtype) * (activity.mean(0) > 0)]",
        "test_layers -k revives",
    ),
    Defect(
        "the bias feels one peer pull, not one a case",
        "layers.py",
        " + (len(below) // 2 - 1) * pull",
        "",
        "test_layers -k peer",
    ),
    Defect(
        "gradients are not smoothed",
        "learning.py",
        "1 - rule.smoothing)",
        "1.0)",
        "test_ground -k smoothing",
    ),
    Defect(
        "biases decay",
        "learning.py",
        "rule.decay and weight.dim() > 1",
        "rule.decay",
        "test_reference",
    ),
    Defect(
        "the rate never falls",
        "learning.py",
        "min(1.0, 2.0 * (1.0 - progress))",
        "1.0",
        "test_train -k rate",
    ),
    Defect(
        "the softmax sees the first layer",
        "nets/feedforward.py",
        "torch.cat(hidden[self.counted.start :], 1)",
        "torch.cat(hidden[: len(self.counted)], 1)",
        "test_feedforward -k fast_test",
    ),
    Defect(
        "the slow test counts the first layer",
        "nets/feedforward.py",
        "goodness[:, :, self.counted.start :].sum(2)",
        "goodness.sum(2)",
        "test_feedforward -k slow_test",
    ),
    Defect(
        "the narrow weights are stale",
        "layers.py",
        "state = (self.weight._version, self.weight",
        "state = (0, self.weight",
        "test_layers -k stale",
    ),
    Defect(
        "a resumed run draws from the start again",
        "run.py",
        "method.generator.set_state(generator)",
        "pass",
        "test_run -k interrupted_training",
    ),
    Defect(
        "a resumed run forgets the velocities",
        "checkpoint.py",
        ", **dict(module.named_buffers())}",
        "}",
        "test_run -k interrupted_training",
    ),
    Defect(
        "the shortlist is one too short",
        "evaluate.py",
        "min(shortlist, net.classes)",
        "max(1, min(shortlist, net.classes) - 1)",
        "test_feedforward -k evaluation",
    ),
    Defect(
        "the neutral label is a strong one",
        "labels.py",
        "strength / classes",
        "strength",
        "test_ground -k neutral",
    ),
    Defect(
        "the tolerance is squared",
        "layers.py",
        "signal.abs() > rule.tolerance",
        "signal.abs() > rule.tolerance**2",
        "test_layers -k tolerance",
    ),
    Defect(
        "a graph leaves the layer",
        "layers.py",
        "with torch.no_grad():\n            flat",
        "with torch.enable_grad():\n            flat",
        "test_layers -k graph",
    ),
    Defect(
        "idle images are never seen again",
        "train.py",
        "order[drawn | ~self.idle[order]]",
        "order[~self.idle[order]]",
        "test_train -k idle",
    ),
    Defect(
        "all layers learn at once in layer by layer",
        "train.py",
        "if index in learners:",
        "if index < learners.stop:",
        "test_train -k layer_by_layer_changes",
    ),
    Defect(
        "the test set is used for validation",
        "run.py",
        "data = data.hold_out(recipe.validation)\n",
        "pass\n",
        "test_train -k validation",
    ),
    Defect(
        "the twin has no momentum",
        "train.py",
        "momentum=recipe.smoothing",
        "momentum=0.0",
        "test_feedforward -k twin",
    ),
    Defect(
        "a file is written in place",
        "files.py",
        'tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)',
        "(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), str(path))",
        "test_run -k full_disk",
    ),
]


def caught(source: Path, tests: str) -> bool:
    """Whether the tests fail on the package in ``source``. That they could not run at all is no catch."""
    file, *words = tests.split(maxsplit=2)
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", f"tests/{file}.py", *words]
    environment = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode not in (0, 1):
        sys.exit(f"tests/{file}.py {' '.join(words)} did not run:\n{ended.stdout}{ended.stderr}")
    return ended.returncode == 1


def plant(source: Path, defect: Defect) -> None:
    """Write the defect into the copy of the package in ``source``."""
    path = source / "twofold" / defect.file
    code = path.read_text()
    if code.count(defect.good) != 1:
        sys.exit(
            f"{defect.name}: {defect.good!r} stands {code.count(defect.good)} times in {defect.file}, expected once"
        )
    path.write_text(code.replace(defect.good, defect.bad))


def main(words: list[str]) -> int:
    """Try each defect; the exit code is 1 where one survives, or where the tests fail without any."""
    chosen = [defect for defect in DEFECTS if not words or any(word in defect.name for word in words)]
    survivors = 0
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder)

        def copy() -> None:
            shutil.rmtree(source / "twofold", ignore_errors=True)
            shutil.copytree(ROOT / "src" / "twofold", source / "twofold", ignore=shutil.ignore_patterns("__pycache__"))

        copy()
        where = "import twofold; print(twofold.__path__[0])"
        environment = {**os.environ, "PYTHONPATH": str(source)}
        found = subprocess.run(
            [sys.executable, "-c", where], env=environment, capture_output=True, text=True, check=True
        )
        if Path(found.stdout.strip()) != source / "twofold":
            sys.exit(f"the tests would not run against the copy, but against {found.stdout.strip()}")
        for tests in sorted({defect.tests for defect in chosen}):
            if caught(source, tests):
                sys.exit(f"tests/{tests} fails without any defect: nothing can be said of those that it should catch")
        for defect in chosen:
            copy()
            plant(source, defect)
            alive = not caught(source, defect.tests)
            survivors += alive
            print(f"{'SURVIVED' if alive else 'caught':8}  {defect.name:45}  {defect.tests}", flush=True)
    print(f"\n{len(chosen) - survivors} of {len(chosen)} defects caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
