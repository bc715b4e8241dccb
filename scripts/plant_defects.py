"""Are the tests awake? Plant one-line defects in a copy of the source, one at a time, and demand that each is caught.

    python scripts/plant_defects.py [WORD ...]    only the defects whose name has one of the words

For each defect the test that should catch it runs against the copy, by PYTHONPATH. That all of them pass without a
defect is tried first. Prints a table; the exit code is 1 where a defect survives. Takes 90 s of one core.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
import sklearn.datasets  # noqa: F401
import torch

ROOT = Path(__file__).resolve().parents[1]


class Defect(NamedTuple):
    """``good``, which stands once in ``file``, becomes ``bad``, and then the ``test`` (file::name) must fail."""

    name: str
    file: str
    good: str
    bad: str
    test: str


DEFECTS = [
    Defect(
        "negative data are liked too",
        "layers.py",
        "[more, -less]",
        "[more, less]",
        "layers::test_the_closed_form_descends_the_written_out_loss",
    ),
    Defect(
        "the threshold is not used",
        "layers.py",
        "goodness - self.threshold",
        "goodness",
        "layers::test_the_closed_form_descends_the_written_out_loss",
    ),
    Defect(
        "the mean is subtracted",
        "normalize.py",
        "flat = activity.flatten(1)",
        "flat = activity.flatten(1) - activity.flatten(1).mean(1, keepdim=True)",
        "ground::test_the_mean_is_not_subtracted",
    ),
    Defect(
        "a negative may carry the true label",
        "negatives.py",
        "torch.randint(1, classes",
        "torch.randint(0, classes",
        "ground::test_a_negative_never_carries_the_true_label",
    ),
    Defect(
        "a hard negative may be true",
        "negatives.py",
        ".scatter(1, labels[:, None], -torch.inf)",
        "",
        "ground::test_a_negative_never_carries_the_true_label",
    ),
    Defect(
        "peer normalization is gated away",
        "layers.py",
        "pull[None].to(some.dtype)]",
        "pull[None].to(some.dtype) * (activity.mean(0) > 0)]",
        "layers::test_the_pull_of_the_peers_is_one_and_the_same_for_every_positive_case",
    ),
    Defect(
        "silent units feel no peers",
        "layers.py",
        "self._peer_pull(flat[:count]) / count",
        "self._peer_pull(flat[:count]) * (flat[:count].mean(0) > 0) / count",
        "layers::test_peer_normalization_revives_a_silent_unit_and_nothing_else_does",
    ),
    Defect(
        "the bias feels one peer pull, not one a case",
        "layers.py",
        " + (len(below) // 2 - 1) * pull",
        "",
        "layers::test_the_pull_of_the_peers_is_one_and_the_same_for_every_positive_case",
    ),
    Defect(
        "gradients are not smoothed",
        "learning.py",
        "1 - rule.smoothing)",
        "1.0)",
        "ground::test_under_a_constant_gradient_smoothing_closes_the_same_share_of_the_gap_at_each_batch",
    ),
    Defect(
        "biases decay",
        "learning.py",
        "rule.decay and weight.dim() > 1",
        "rule.decay",
        "reference::test_thirty_batches_leave_the_weights_that_the_authors_recipe_leaves",
    ),
    Defect(
        "the rate never falls",
        "learning.py",
        "min(1.0, 2.0 * (1.0 - progress))",
        "1.0",
        "train::test_the_rate_is_constant_for_half_of_the_batches_and_then_falls_to_zero",
    ),
    Defect(
        "the softmax sees the first layer",
        "nets/feedforward.py",
        "torch.cat(hidden[self.counted.start :], 1)",
        "torch.cat(hidden[: len(self.counted)], 1)",
        "feedforward::test_the_fast_test_reads_the_counted_layers_under_the_neutral_label",
    ),
    Defect(
        "the slow test counts the first layer",
        "nets/feedforward.py",
        "goodness[:, :, self.counted.start :].sum(2)",
        "goodness.sum(2)",
        "feedforward::test_the_slow_test_is_the_goodness_of_the_counted_layers_under_every_label",
    ),
    Defect(
        "the narrow weights are stale",
        "layers.py",
        "state = (self.weight._version, self.weight",
        "state = (0, self.weight",
        "layers::test_the_narrow_copy_of_the_weights_is_never_stale",
    ),
    Defect(
        "a resumed run draws from the start again",
        "folder.py",
        "method.generator.set_state(generator)",
        "pass",
        "run::test_an_interrupted_training_ends_bitwise_as_one_that_was_not",
    ),
    Defect(
        "a resumed run forgets the velocities",
        "checkpoint.py",
        ", **dict(module.named_buffers())}",
        "}",
        "run::test_an_interrupted_training_ends_bitwise_as_one_that_was_not",
    ),
    Defect(
        "the shortlist is one too short",
        "evaluate.py",
        "min(shortlist, net.classes)",
        "max(1, min(shortlist, net.classes) - 1)",
        "feedforward::test_evaluation_names_what_the_net_names_and_counts_the_errors",
    ),
    Defect(
        "the neutral label is a strong one",
        "labels.py",
        "classes), strength / classes",
        "classes), strength",
        "ground::test_the_neutral_input_is_the_mean_of_all_stated_ones",
    ),
    Defect(
        "the tolerance is squared",
        "layers.py",
        "signal.abs() > rule.tolerance",
        "signal.abs() > rule.tolerance**2",
        "layers::test_the_tolerance_leaves_out_the_cases_with_a_weaker_signal_and_no_others",
    ),
    Defect(
        "a graph leaves the layer",
        "layers.py",
        "with torch.no_grad():\n            flat",
        "with torch.enable_grad():\n            flat",
        "layers::test_no_graph_leaves_a_layer",
    ),
    Defect(
        "idle images are never seen again",
        "train.py",
        "order[drawn | ~self.idle[order]]",
        "order[~self.idle[order]]",
        "train::test_idle_images_are_seen_again_with_the_probability_given_and_all_others_always",
    ),
    Defect(
        "all layers learn at once in layer by layer",
        "train.py",
        "if index in learners:",
        "if index < learners.stop:",
        "train::test_layer_by_layer_changes_one_layer_at_a_time_from_the_bottom_up",
    ),
    Defect(
        "the test set is used for validation",
        "run.py",
        "data = data.hold_out(recipe.validation)\n",
        "pass\n",
        "train::test_with_a_validation_set_the_test_set_changes_nothing",
    ),
    Defect(
        "the twin has no momentum",
        "train.py",
        "momentum=recipe.smoothing",
        "momentum=0.0",
        "feedforward::test_the_twin_is_the_plain_net_and_learns_as_it_does",
    ),
    Defect(
        "a file is written in place",
        "files.py",
        'tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)',
        "(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), str(path))",
        "run::test_a_full_disk_is_told_in_one_line_and_costs_no_checkpoint",
    ),
]


def caught(source: Path, tests: Sequence[str], tell: bool = False) -> bool:
    """Whether one of the tests fails on the package in ``source``. That they could not run at all is no catch.

    In a fork, so that what takes longest, importing torch, is done once; 99 is what a fork that fails says.
    """
    nodes = [f"tests/test_{test.replace('::', '.py::')}" for test in tests]
    with tempfile.TemporaryFile() as said:
        if (child := os.fork()) == 0:
            code = 99
            try:
                os.dup2(said.fileno(), 1)
                os.dup2(said.fileno(), 2)
                os.environ["PYTHONPATH"] = str(source)  # for what the tests start
                sys.path.insert(0, str(source))
                found = pytest.main(["-q", "-x", "-p", "no:cacheprovider", *nodes])
                if sys.modules["twofold"].__path__[0] == str(source / "twofold"):
                    code = int(found)
            finally:
                sys.stdout.flush()
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said.seek(0)
        if code not in (0, 1):
            sys.exit(f"{' '.join(nodes)} did not run against the copy ({code}):\n{said.read().decode()}")
        if tell and code:
            print(said.read().decode())
    return code == 1


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
    torch.set_num_threads(1)  # threads do not survive a fork
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder)

        def copy() -> None:
            shutil.rmtree(source / "twofold", ignore_errors=True)
            shutil.copytree(ROOT / "src" / "twofold", source / "twofold", ignore=shutil.ignore_patterns("__pycache__"))

        os.chdir(ROOT)
        copy()
        if caught(source, sorted({defect.test for defect in chosen}), tell=True):
            sys.exit("the tests fail without any defect: nothing can be said of what they catch")
        for defect in chosen:
            copy()
            plant(source, defect)
            alive = not caught(source, [defect.test])
            survivors += alive
            print(f"{'SURVIVED' if alive else 'caught':8}  {defect.name:45}  {defect.test}", flush=True)
    print(f"\n{len(chosen) - survivors} of {len(chosen)} defects caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
