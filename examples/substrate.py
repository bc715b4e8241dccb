"""Your own analog device: describe it, train on it, drift, train on, and copy its weights onto another piece of it.

python examples/substrate.py [EPOCHS]
"""

import math
import sys

import torch

import twofold
from twofold import substrate

# What a data sheet says, in ten lines; docs/substrates.md has all parameters with their units.
mine = twofold.Substrate(
    full_scale=4.0,  # the largest weight, in units of the spread of the first ones
    mismatch=0.3,  # gains of devices differ by 30 %
    read_noise=0.02,  # of each device at each read, relative to the full scale
    bits=6,  # pulses of which 63 cross the range
    pulse_spread=0.2,  # they differ between devices
    threshold=0.1,  # neurons have thresholds of their own
    drift=0.1,  # weights wander off by 10 % in the course of a run
    stuck=0.01,  # one device in a hundred does not change
)

BATCH = 50

if __name__ == "__main__":
    epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    digits = twofold.load_data("digits")
    held_out = digits.test_images, digits.test_labels

    def fresh() -> twofold.FeedForward:
        start = torch.Generator().manual_seed(0)
        return twofold.FeedForward.dense(digits.shape, (200, 200), digits.classes, generator=start)

    def train(net: twofold.FeedForward, epochs: int) -> float:
        twofold.fit(net, *digits.train, epochs=epochs, batch=BATCH)
        return twofold.evaluate(net, *held_out).error["slow"]

    print("test error, slow test")
    print(f"ideal                     {train(fresh(), epochs):.3f}")

    device = mine.install(fresh(), seed=1)  # one piece of hardware
    print(f"trained on the device     {train(device, epochs):.3f}")

    other = mine.install(fresh(), seed=2)  # the same design, another piece
    substrate.program(other, device)
    print(f"copied to another device  {twofold.evaluate(other, *held_out).error['slow']:.3f}")

    updates = epochs * math.ceil(
        len(digits.train_images) / BATCH
    )  # of the run, in the course of which it drifts by 10 %
    substrate.drift(device, 10 * updates)  # a rest in which it drifts by √10 times as much
    print(f"after a long rest         {twofold.evaluate(device, *held_out).error['slow']:.3f}")
    print(f"one epoch later           {train(device, 1):.3f}")
