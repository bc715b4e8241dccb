"""Learning of the recurrent net: every layer from every iteration, one update a batch."""

from __future__ import annotations

import math
from itertools import repeat

import torch
from torch import Tensor

from twofold.inputs import Constant
from twofold.learning import half_constant_half_linear
from twofold.negatives import NEGATIVES
from twofold.nets.recurrent import Recurrent
from twofold.recipes.recipe import RecurrentRecipe
from twofold.train import GoodnessMethod, Seen


class Settling(GoodnessMethod):
    """All layers at the same time, iteration after iteration (talk 19:31, 24:03).

    The bottom-up pass that starts the hidden layers also gives the logits from which wrong labels are drawn. No
    derivative crosses a layer or an iteration. A share of each batch also settles under a neutral label, for the
    softmax that reads settled layers.
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
        self._settle_neutral(frame, labels, weight, recipe.softmax_rate * factor)

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

    def _settle_neutral(self, frame: Constant, labels: Tensor, weight: Tensor, rate: float) -> None:
        asked = math.ceil(self.recipe.neutral_share * len(labels))
        *_, state = self.net.look(Constant(frame.rows[:asked]), self.net.neutral_top(asked))
        self.net.settled_softmax.learn(self.net.features(state), labels[:asked], rate, weight[:asked])
