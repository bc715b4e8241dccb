"""The tests of the recurrent net as a function that `torch.export` can trace, with all iterations unrolled."""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from twofold.nets.video import State

if TYPE_CHECKING:
    from twofold.nets.recurrent import Recurrent


def unrolled(net: Recurrent, frame: Tensor) -> tuple[dict[str, Tensor], list[Tensor]]:
    """Return the logits and the goodness of a recurrent net, for `Recurrent._traced`.

    Args:
        net: The net.
        frame: Normalized images, ``(batch, inputs)``.

    Returns:
        Two results. First, a dict: name of a test with a softmax classifier -> logits, ``(batch, classes)``. Second, a
        list with the goodness of all images and labels in each layer, averaged over the iterations ``net.judged``,
        ``(classes · batch,)``: first all images with the first label, then all images with the second label, and so on.
    """
    start = net.start(frame)

    def settling(labels: Tensor, iterations: int) -> list[State]:
        """Return the states after each iteration, for each combination of an image and a label vector.

        Args:
            labels: Label vectors, ``(labels, classes)``.
            iterations: Number of iterations.

        Returns:
            For each iteration, the states of all layers, with ``labels · batch`` rows.
        """
        copies = len(labels)
        top = labels[:, None].expand(-1, frame.shape[0], -1).flatten(0, 1)
        shown = repeat(frame.repeat(copies, 1), iterations)
        return list(net.watch(shown, top, tuple(state.repeat(copies) for state in start)))

    label_vectors = net.label_strength * torch.eye(net.classes, device=frame.device)
    first, last = net.judged
    judged = settling(label_vectors, last)[first - 1 :]
    goodness = [torch.stack([state[index].goodness for state in judged]).mean(0) for index in range(len(start))]
    settled = settling(label_vectors.mean(0, keepdim=True), net.iterations)[-1]
    logits = {"fast": net.softmax(net.read_state(start)), "settled": net.settled_softmax(net.read_state(settled))}
    return logits, goodness
