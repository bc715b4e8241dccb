"""Data of your own: any arrays of pictures with numbers from 0 to 1, and their labels.

    python examples/own_data.py [EPOCHS]

Here the pictures are drawn: bright bars, upright, flat, or slanted either way, in noise.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

import twofold


def bars(count: int, side: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Pictures ``(count, side, side)`` and labels ``(count,)``: 0 upright, 1 flat, 2 and 3 slanted."""
    draw = np.random.default_rng(seed)
    pictures, labels = 0.5 * draw.random((count, side, side)), draw.integers(4, size=count)
    down, across = np.indices((side, side))
    for picture, label in zip(pictures, labels, strict=True):
        place = [across, down, (across + down) % side, (across - down) % side][label]
        picture[place == draw.integers(side)] += 0.5
    return pictures, labels


if __name__ == "__main__":
    epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    data = twofold.as_dataset("bars", *bars(2000), *bars(500, seed=1), classes=4)

    # In a few lines, without a folder:
    net = twofold.FeedForward.dense(data.shape, (300, 300), data.classes)
    for metrics in twofold.fit(net, data.train_images, data.train_labels, epochs=epochs):
        print(f"epoch {metrics['epoch']}: train error {100 * metrics['train_error']:.1f} %")
    print("test error", twofold.evaluate(net, data.test_images, data.test_labels).error)

    # With a recipe and a run folder, which holds settings, metrics, checkpoints and the trained net:
    recipe = replace(twofold.RECIPES["digits"], data="bars", widths=(300, 300), epochs=epochs)
    with tempfile.TemporaryDirectory() as folder:
        result = twofold.train(recipe, Path(folder) / "bars", data)
        print("with the settings of the recipe digits", result.test_error)
        print("labels of five pictures", twofold.load(Path(folder) / "bars").net.predict(data.test_images[:5]).tolist())
