"""Draw docs/pictures/surprise.png: a moving digit that turns round, is swapped, and jumps, before the net of `moving`.

    python scripts/draw_moving.py [RUNS_FOLDER] [PNG]

The net is read from the folder where `twofold claims run moving --size full` keeps its trainings (runs/claims), or
trained there first. Drawn is the first test digit, at the fastest of the trained speeds, from the first frame on that
was learned from.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor

from twofold.claims.lab import RUNS, Lab
from twofold.claims.moving import KINDS, breaks
from twofold.claims.moving_training import FULL, SEED, film_data, see, taught
from twofold.claims.plots.moving import surprise
from twofold.data.moving import Broken, Moving, launch
from twofold.nets.recurrent import Recurrent

PICTURE = Path(__file__).parent.parent / "docs" / "pictures" / "surprise.png"
CASES = 20
"""Test digits that move, of which the first is drawn; another one takes its place."""


@torch.no_grad()
def activities(net: Recurrent, video: Moving | Broken, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Frames of the first video that are like those learned from, and the mean square activity of the first layer."""
    top, layer = net.top(labels), net.stack[0]
    state, shown, found = net.start(see(net, video.frame(0))), [], []
    for frame in video.frames(1, FULL.frames):
        state = net.step(see(net, frame), top, state)
        shown.append(frame[0, 0])
        found.append(-state[0].goodness[0] / layer.bias.numel())
    return torch.stack(shown[FULL.watched :]), torch.stack(found[FULL.watched :])


def main(runs: Path = RUNS, path: Path = PICTURE) -> None:
    """Draw it."""
    lab = Lab("full", runs)
    net, dataset = taught(lab), film_data(lab)
    images, labels = dataset.test_images[:CASES], dataset.test_labels[:CASES]
    generator = torch.Generator(images.device).manual_seed(SEED + 6)
    speed = max(FULL.speeds)
    video = launch(images, (speed,), FULL.canvas, generator, free=FULL.since)
    broken = breaks(FULL, video, generator)
    each = {kind: broken[kind] for kind in KINDS}
    drawn = [activities(net, broken, labels) for broken in each.values()]
    _, calm = activities(net, video, labels)
    frames, found = (torch.stack(parts) for parts in zip(*drawn, strict=True))
    print(surprise(frames, found, calm, list(each), FULL.since, path, first=FULL.watched + 1))


if __name__ == "__main__":
    main(*(Path(given) for given in sys.argv[1:]))
