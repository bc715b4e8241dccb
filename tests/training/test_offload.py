"""Layers at rest on disk, and what is refused before anything is lost: memory, precision, devices that are not there.

Oracles: the same training in memory, bitwise; a limit on memory that the system itself keeps; the documented contract.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from support.helpers import SHORTCUTS
from twofold import machine
from twofold.data import Dataset
from twofold.errors import Diverged, RunError, SettingError
from twofold.layers.dense import dense
from twofold.learning import Rule
from twofold.methods import METHODS, BackpropRecipe, FeedForwardRecipe
from twofold.training import train as training
from twofold.training.offload import keep_on_disk


@pytest.mark.parametrize("substrate", ["ideal", "bench"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_net_whose_layers_rest_on_disk_ends_bitwise_as_one_in_memory(
    tiny: Dataset,
    recipe: FeedForwardRecipe,
    tmp_path: Path,
    precision: str,
    substrate: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where weights lie must change nothing, or every figure would depend on the size of a machine."""
    monkeypatch.setattr(machine, "has_fast_bf16", lambda device: True)
    asked = replace(recipe, **SHORTCUTS, substrate=substrate)
    for name, offload in (("memory", False), ("disk", True)):
        training.train(asked, tmp_path / name, tiny, device="cpu", precision=precision, offload=offload)
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("memory", "disk")]
    assert weights[0] == weights[1]
    assert {path.name for path in tmp_path.iterdir()} == {"memory", "disk"}, "the files of resting layers are left over"


def test_a_layer_on_disk_works_on_its_file(tmp_path: Path) -> None:
    """Else it would hold a second copy of itself in memory, which is what resting on disk is to avoid."""
    layers = keep_on_disk(dense(6, (5, 4), Rule(), torch.Generator().manual_seed(0)), tmp_path)
    path, first = tmp_path / "layer-1.bin", layers[0].get_parameter("weight")
    before = path.read_bytes()
    assert before[: first.nbytes] == first.numpy().tobytes()
    positive, negative = torch.rand(2, 7, 6)
    for layer in layers:
        positive, negative, *_ = layer.learn(positive, negative, 0.1)
    after = path.read_bytes()
    assert after[: first.nbytes] == first.numpy().tobytes() != before[: first.nbytes]


LIMITED = """
import resource, sys
from dataclasses import replace
from pathlib import Path
import torch
from twofold import machine
from twofold.training import train as training
from twofold.data import load
from twofold.recipes import RECIPES

torch.set_num_threads(1)
machine.free_memory = lambda device: 10**12  # it looks at the limit, and would refuse
data = load("digits").take(700)
data = replace(data, test_images=data.test_images[:50], test_labels=data.test_labels[:50])
recipe = replace(RECIPES["digits"], widths=(600,) * 40, epochs=1, batch=350, counted_from=40)
small = replace(recipe, widths=(20, 20), counted_from=1)
training.train(small, Path(sys.argv[1]) / "small", data, device="cpu", precision="fp32")  # what is loaded once
used = int(next(line for line in open("/proc/self/status") if line.startswith("VmData")).split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (used + 80_000_000, -1))
try:
    disk = sys.argv[2] == "disk"
    training.train(recipe, Path(sys.argv[1]) / "deep", data, device="cpu", precision="fp32", offload=disk)
    print("trained")
except RuntimeError as error:
    print("no memory" if "allocate" in str(error) else error)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit on memory is Linux's")
def test_a_net_deeper_than_memory_trains_where_its_layers_rest_on_disk(tmp_path: Path) -> None:
    """40 layers of 600 units, 114 MB of weights and smoothed gradients, in 80 MB: the claim itself."""
    said = {}
    for place in ("memory", "disk"):
        command = [sys.executable, "-c", LIMITED, str(tmp_path / place), place]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        said[place] = done.stdout.strip() or done.stderr
    assert said == {"memory": "no memory", "disk": "trained"}


def test_files_of_resting_layers_go_when_a_training_fails(
    tiny: Dataset, recipe: FeedForwardRecipe, tmp_path: Path
) -> None:
    with pytest.raises(Diverged):
        training.train(
            replace(recipe, rate=1e30, decay=0.0), tmp_path / "run", tiny, device="cpu", precision="fp32", offload=True
        )
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_disk_that_is_too_full_for_a_layer_is_told_in_one_line(
    tiny: Dataset, recipe: FeedForwardRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mapped file that finds the disk full only later would end the program without a word."""

    def full(handle: int, start: int, size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(RunError, match=r"cannot write .*layer-1\.bin.*No space left on device; free some") as told:
        training.train(recipe, tmp_path / "run", tiny, device="cpu", precision="fp32", offload=True)
    assert "\n" not in str(told.value)


def test_the_twin_cannot_rest_on_disk(tiny: Dataset, twin_recipe: BackpropRecipe, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="--offload is only for methods that train each layer by itself"):
        training.train(twin_recipe, tmp_path / "run", tiny, device="cpu", precision="fp32", offload=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", ["forward-forward", "backprop"])
def test_a_training_that_would_not_fit_says_how_much_it_needs_and_writes_nothing(
    tiny: Dataset,
    recipe: FeedForwardRecipe,
    twin_recipe: BackpropRecipe,
    tmp_path: Path,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "free_memory", lambda device: 10**9)
    asked = replace(recipe if kind == "forward-forward" else twin_recipe, widths=(20_000, 20_000))
    with pytest.raises(SettingError, match=r"needs about \d+\.\d GB of memory.*1\.0 GB are free: lower") as told:
        training.train(asked, tmp_path / "run", tiny, device="cpu", precision="fp32")
    assert "\n" not in str(told.value)
    assert not (tmp_path / "run").exists()


def test_what_is_needed_covers_weights_and_smoothed_gradients_and_on_disk_one_layer(
    tiny: Dataset, recipe: FeedForwardRecipe
) -> None:
    """An estimate below what surely is held would let a night's training die of it."""
    deep = replace(recipe, widths=(300,) * 20)
    weights = 4 * 300 * 300
    whole = METHODS[deep.method].needed_memory(deep, tiny.form, "fp32", offload=False)
    assert 2 * 19 * weights < whole < 4 * 20 * weights
    assert 2 * weights < METHODS[deep.method].needed_memory(deep, tiny.form, "fp32", offload=True) < 6 * weights


def test_a_precision_that_the_processor_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Emulated, bf16 is many times slower than fp32: nobody who asks for it wants that."""
    monkeypatch.setattr(machine, "has_fast_bf16", lambda device: False)
    cpu = torch.device("cpu")
    assert machine.choose_precision("auto", cpu) == machine.choose_precision("fp32", cpu) == "fp32"
    with pytest.raises(SettingError, match="--precision is bf16, but this processor has no instructions for bf16"):
        machine.choose_precision("bf16", cpu)
