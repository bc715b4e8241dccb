"""Train on your own analog device: describe it, train, let it drift, train again, copy its weights to another device.

python examples/substrate.py [EPOCHS]
"""

import math
import sys

import torch

import twofold
from twofold import substrate

# The properties of the device; docs/substrates.md explains all parameters and their units.
mine = twofold.Substrate(
    full_scale=4.0,  # the largest weight, relative to the spread of the initial weights
    mismatch=0.3,  # gains of devices differ by 30 %
    read_noise=0.02,  # of each device at each read, relative to the full scale
    bits=6,  # 63 pulses cover the range of a weight
    pulse_spread=0.2,  # sizes of pulses differ by 20 % between devices
    threshold=0.1,  # thresholds of neurons differ by 10 % of the signal
    drift=0.1,  # weights drift by 10 % during a run
    stuck=0.01,  # 1 % of the devices do not change
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

    other = mine.install(fresh(), seed=2)  # another device of the same design
    substrate.program(other, device)
    print(f"copied to another device  {twofold.evaluate(other, *held_out).error['slow']:.3f}")

    updates = epochs * math.ceil(len(digits.train_images) / BATCH)  # of the training run
    substrate.drift(device, 10 * updates)  # √10 times the drift of the training run
    print(f"after a long rest         {twofold.evaluate(device, *held_out).error['slow']:.3f}")
    print(f"one epoch later           {train(device, 1):.3f}")
