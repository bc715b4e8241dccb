"""Check that two checkouts train bitwise the same weights on this machine.

    python scripts/same_weights.py OTHER_CHECKOUT

Each checkout trains every family of nets for two short epochs on the embedded digits, with the command line, in float32
and, if the processor supports it, bfloat16. This checkout repeats each training run with a kill after the first epoch
and a resume. Nets without a recipe are trained from Python. The script prints a line for each training run, and its
exit code is 1 if a weight differs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path

import torch
from safetensors.torch import load_file

from twofold.machine import has_fast_bf16

ROOT = Path(__file__).resolve().parents[1]
COMMAND = [sys.executable, "-c", "import sys; from twofold.cli import main; sys.exit(main())", "train"]
SETTINGS = "--data digits --epochs 2 --batch 40 --no-pictures"
FIELDS = "--field-sizes 4 2 --strides 1 1 --margins 0 0 --widths 300 256"
GRADIENTS = ("surrogate", "spsa", "direct_feedback_alignment")
TRAININGS = {
    "feedforward": "digits --widths 90 80 70 --temperature 25",
    "feedforward, all of it": "digits --widths 90 80 --temperature 25 --jitter 1 --mirror --label-in overlay "
    "--objective logistic",
    "feedforward, nothing left out": "digits --widths 90 80 --temperature 25 --tolerance 0 --objective symba "
    "--validation 100",
    "feedforward, layer by layer": "digits --widths 90 80 --temperature 25 --layer-by-layer "
    "--goodness mean_of_squares --rate 0.1",
    "unsupervised": "mnist-hybrid --widths 90 80 70 --temperature 1 --blurs 2",
    "unsupervised, local": f"mnist-hybrid-local --blurs 2 --temperature 1 {FIELDS}",
    "recurrent": "recurrent --widths 90 80 --temperature 9",
    "recurrent, all of it": "recurrent --widths 90 80 --temperature 9 --lateral --label-to all --window 3 --mirror",
    "recurrent, local": "cifar-local --widths 192 192 --field-sizes 5 5 --strides 1 1 --margins 2 2 --temperature 20",
    "twin": "digits-twin --widths 90 80 70 --tolerance 0.3 --revisit 0.2",
    "twin, local": f"mnist-hybrid-local-twin {FIELDS} --center",
    "on a substrate": "digits --widths 90 80 --temperature 25 --substrate bench",
    "black boxes": "black-box --widths 90 90 80 80 70 --temperature 9 --box sampled --box-drift 0.01",
    **{
        f"backprop, black boxes, {way}": f"black-box-twin --widths 90 90 80 80 70 --box saturating --box-drift 0.01 "
        f"--{way}"
        for way in ("readout block", *(f"gradient {name}" for name in GRADIENTS))
    },
}
"""Training runs with the command line: name -> words after `twofold train`."""

CHIPS = {
    "chip, the model's derivative": {},
    "chip, fixed feedback": {"derivative": "feedback"},
    "chip, a softmax for each layer": {"readout": "layer"},
}
CHIP = """
import json, sys
from dataclasses import replace
import torch
from safetensors.torch import save_file
from twofold.data import load
from twofold.recipes import RECIPES
from twofold import substrate
from twofold.substrate import PRESETS
from twofold.training.trainer import Trainer

try:
    from twofold.nets.chip import ChipBackprop, LocalChip

    def kind(*shape, readout="top", derivative="ideal", device_seed, **options):
        options["device"] = device_seed
        return LocalChip(*shape, **options) if readout == "layer" else ChipBackprop(*shape, model=derivative, **options)
except ImportError:
    from twofold.nets.backprop import Backprop as kind

options, precision, path = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3]
digits = load("digits")
recipe = replace(RECIPES["digits-twin"], widths=(90, 80), epochs=2, batch=40, rate=0.02)
generator = torch.Generator().manual_seed(0)
net = kind(64, recipe.widths, 10, generator, substrate=PRESETS["bench"], device_seed=1, **options)
getattr(substrate, "set_run_length" if hasattr(substrate, "set_run_length") else "last")(net, 72)
net.set_precision(precision)
Trainer(net, recipe, digits.train).run()
save_file({name: tensor.contiguous() for name, tensor in net.state_dict().items()}, path)
"""
"""Code that trains a net of `CHIPS`. It also works in older checkouts, which have separate classes for such nets."""


def train(checkout: Path, words: str, precision: str, folder: Path, killed: bool) -> dict[str, torch.Tensor]:
    """Return the weights that a checkout trains. If ``killed``, the process is killed after an epoch and resumed."""
    if (checkout / "src" / "twofold" / "nets" / "boxed_backprop.py").exists():
        words = words.replace("--readout block", "--gradient local")  # the name in older checkouts
    command = [*COMMAND, *words.split(), *SETTINGS.split(), "--precision", precision, "--run", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": "1"}
    if killed:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not (folder / "checkpoint.safetensors").exists():
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        command.append("--resume")
    return weights_of(command, environment, folder / "weights.safetensors")


def train_chip(checkout: Path, options: dict[str, str], precision: str, path: Path) -> dict[str, torch.Tensor]:
    """Return the weights of a net of `CHIPS` that a checkout trains."""
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": "1"}
    return weights_of([sys.executable, "-c", CHIP, json.dumps(options), precision, str(path)], environment, path)


def weights_of(command: list[str], environment: dict[str, str], path: Path) -> dict[str, torch.Tensor]:
    """Run a command and return the weights that it writes to a file."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return load_file(path)


def compare(other: Path, case: tuple[str, str]) -> dict[str, bool]:
    """Return True for equal weights: of an uninterrupted training run (``through``) and of a resumed one."""
    name, precision = case
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if name in CHIPS:
            before, now = (
                train_chip(checkout, CHIPS[name], precision, folder / f"{number}.safetensors")
                for number, checkout in enumerate((other, ROOT))
            )
            after = {"through": now}
        else:
            before = train(other, TRAININGS[name], precision, folder / "before", killed=False)
            after = {
                way: train(ROOT, TRAININGS[name], precision, folder / way, killed=way == "resumed")
                for way in ("through", "resumed")
            }
    return {
        way: before.keys() == weights.keys() and all(torch.equal(before[key], weights[key]) for key in before)
        for way, weights in after.items()
    }


def main(other: Path) -> int:
    """Compare all training runs; return the exit code."""
    precisions = ["fp32", *(["bf16"] if has_fast_bf16(torch.device("cpu")) else [])]
    cases, compared, different = list(product({**TRAININGS, **CHIPS}, precisions)), 0, 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for (name, precision), found in zip(cases, pool.map(partial(compare, other), cases), strict=True):
            for way, same in found.items():
                compared, different = compared + 1, different + (not same)
                print(f"{'same' if same else 'DIFFERENT':9}  {precision}  {way:8} {name}", flush=True)
    print(f"{different} of {compared} training runs differ")
    return 1 if different else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]).resolve()))
