"""Do two checkouts train the same weights, bit by bit, on this machine?

    python scripts/same_weights.py OTHER_CHECKOUT

Each trains every family of nets for two short epochs on the embedded digits, by the command line, in float32 and, where
the processor has it, bfloat16; once more with a training that is killed after its first epoch and resumed. Prints a
line for each; the exit code is 1 where a weight differs.
"""

from __future__ import annotations

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
TRAININGS = {
    "feedforward": "digits --widths 90 80 70",
    "feedforward, all of it": "digits --widths 90 80 --jitter 1 --mirror --label-in overlay --objective logistic",
    "feedforward, nothing left out": "digits --widths 90 80 --tolerance 0 --objective symba --validation 100",
    "feedforward, layer by layer": "digits --widths 90 80 --layer-by-layer --goodness mean_of_squares --rate 0.1",
    "unsupervised": "mnist-hybrid --widths 90 80 70 --blurs 2",
    "unsupervised, local": f"mnist-hybrid-local --blurs 2 {FIELDS}",
    "recurrent": "recurrent --widths 90 80 --temperature 9",
    "recurrent, all of it": "recurrent --widths 90 80 --temperature 9 --lateral --label-to all --window 3 --mirror",
    "recurrent, local": "cifar-local --widths 192 192 --field-sizes 5 5 --strides 1 1 --margins 2 2 --temperature 20",
    "twin": "digits-twin --widths 90 80 70 --tolerance 0.3 --revisit 0.2",
    "twin, local": f"mnist-hybrid-local-twin {FIELDS} --center",
}


def train(checkout: Path, words: str, precision: str, folder: Path, killed: bool) -> dict[str, torch.Tensor]:
    """The weights that a checkout trains; ``killed`` after the first epoch and resumed, if asked for."""
    command = [*COMMAND, *words.split(), *SETTINGS.split(), "--precision", precision, "--run", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": "1"}
    if killed:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not (folder / "checkpoint.safetensors").exists():
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        command.append("--resume")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{checkout}: {words}\n{done.stderr}")
    return load_file(folder / "weights.safetensors")


def compare(other: Path, case: tuple[str, str]) -> dict[str, bool]:
    """Whether the weights of a training are the same, when it goes through and when it is resumed."""
    name, precision = case
    with tempfile.TemporaryDirectory() as folder:
        before = train(other, TRAININGS[name], precision, Path(folder) / "before", killed=False)
        after = {
            way: train(ROOT, TRAININGS[name], precision, Path(folder) / way, killed=way == "resumed")
            for way in ("through", "resumed")
        }
    return {
        way: before.keys() == weights.keys() and all(torch.equal(before[key], weights[key]) for key in before)
        for way, weights in after.items()
    }


def main(other: Path) -> int:
    """Compare all trainings; the exit code."""
    precisions = ["fp32", *(["bf16"] if has_fast_bf16(torch.device("cpu")) else [])]
    cases, different = list(product(TRAININGS, precisions)), 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for (name, precision), found in zip(cases, pool.map(partial(compare, other), cases), strict=True):
            for way, same in found.items():
                different += not same
                print(f"{'same' if same else 'DIFFERENT':9}  {precision}  {way:8} {name}", flush=True)
    print(f"{different} of {2 * len(cases)} trainings differ")
    return 1 if different else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]).resolve()))
