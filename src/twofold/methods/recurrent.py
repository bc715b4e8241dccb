"""Learning of the recurrent net: every layer from every iteration, one update a batch."""

from __future__ import annotations

from itertools import repeat

import torch
from torch import Tensor

from twofold.learning import half_constant_half_linear
from twofold.methods.method import LabelMethod, Seen
from twofold.methods.recipe import RecurrentRecipe
from twofold.negatives import NEGATIVES
from twofold.nets.recurrent import Recurrent


class Settling(LabelMethod):
    """All layers at the same time, iteration after iteration (talk 19:31, 24:03).

    The bottom-up pass that starts the hidden layers also gives the logits from which wrong labels are drawn. No
    derivative crosses a layer or an iteration. Now and then a batch also settles under a neutral label, for the softmax
    that reads settled layers.
    """

    net: Recurrent
    recipe: RecurrentRecipe

    @torch.no_grad()
    def step(self, images: Tensor, labels: Tensor, cases: Tensor, weight: Tensor, progress: float) -> Seen:
        net, recipe = self.net, self.recipe
        factor = half_constant_half_linear(progress)
        self.rate = recipe.rate * factor

        frame = net.images(images)
        start = net.start(frame)
        logits = net.softmax.learn(net.features(start), labels, recipe.softmax_rate * factor, weight)
        self.logits[cases] = logits.to(self.logits.dtype)
        wrong = NEGATIVES[recipe.negatives](labels, logits, self.generator)
        if self.batches_seen % recipe.neutral_every == 0:
            *_, settled = net.look(frame, net.neutral_top(len(labels)))
            net.settled_softmax.learn(net.features(settled), labels, recipe.softmax_rate * factor, weight)

        both = tuple(layer.repeat(2) for layer in start)
        lesson = net.learn(
            repeat(frame, recipe.iterations),
            net.top(torch.cat([labels, wrong])),
            both,
            self.rate,
            weight,
            first=recipe.learn_from,
            window=recipe.window,
        )
        for kept, goodness in zip(self._goodness, lesson.goodness, strict=True):
            kept.append(goodness)
        return Seen(logits.argmax(1) != labels, lesson.need)
