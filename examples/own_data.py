"""Train on your own data: arrays of images, a folder of class folders, and a table.

    python examples/own_data.py [EPOCHS]

The images of this example are generated: a bright bar in noise, upright, flat, or slanted in one of two directions.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

import twofold

NAMES = ("upright", "flat", "falling", "rising")


def bars(count: int, side: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return images ``(count, side, side)`` and labels ``(count,)``: 0 upright, 1 flat, 2 and 3 slanted."""
    draw = np.random.default_rng(seed)
    pictures, labels = 0.5 * draw.random((count, side, side)), draw.integers(4, size=count)
    down, across = np.indices((side, side))
    for picture, label in zip(pictures, labels, strict=True):
        place = [across, down, (across + down) % side, (across - down) % side][label]
        picture[place == draw.integers(side)] += 0.5
    return pictures, labels


def write_folders(root: Path) -> None:
    """Write images as PNG files, with one folder for each class."""
    for number, (picture, label) in enumerate(zip(*bars(1000), strict=True)):
        folder = root / NAMES[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray((255 * picture).round().astype(np.uint8)).save(folder / f"{number:04}.png")


def write_table(path: Path) -> None:
    """Write a CSV table: the brightness of each row and column of the images, a text column, and the class."""
    rows = [",".join([*(f"row{n}" for n in range(12)), *(f"column{n}" for n in range(12)), "light", "kind"])]
    for picture, label in zip(*bars(1000), strict=True):
        light = "bright" if picture.mean() > 0.3 else "dark"
        rows.append(",".join([*(f"{x:.3f}" for x in (*picture.sum(1), *picture.sum(0))), light, NAMES[label]]))
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 10

    # Arrays, without a folder:
    data = twofold.as_dataset("bars", *bars(2000), *bars(500, seed=1), names=NAMES)
    net = twofold.FeedForward.dense(data.shape, (300, 300), data.classes)
    for metrics in twofold.fit(net, data.train_images, data.train_labels, epochs=epochs):
        print(f"epoch {metrics['epoch']}: train error {100 * metrics['train_error']:.1f} %")
    print("test error", twofold.evaluate(net, data.test_images, data.test_labels).error)

    with tempfile.TemporaryDirectory() as place:
        root = Path(place)

        # A folder of class folders: the command is `twofold train --data pictures`.
        write_folders(root / "pictures")
        data = twofold.read_data(root / "pictures")
        recipe = replace(twofold.recipe_for(data), widths=(300, 300), epochs=epochs)
        print("folder, test error", twofold.train(recipe, root / "run", data).test_error)
        run = twofold.load(root / "run")
        print("five predictions", [run.preparation.names[label] for label in run.net.predict(data.test_images[:5])])

        # A table: the command is `twofold train --data bars.csv --label kind`.
        write_table(root / "bars.csv")
        data = twofold.read_data(root / "bars.csv", label="kind")
        print("table, test error", twofold.train(twofold.recipe_for(data), root / "table", data).test_error)
