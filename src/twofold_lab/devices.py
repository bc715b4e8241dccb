"""Learners on simulated devices, which the claims ``analog`` and ``mortal`` compare: how each is built, tuned, trained,
and programmed with the weights of another.

A device is a substrate and a seed. All learners have the same hidden layers and the same digital softmax, see the same
images as often, and are tuned by the same grid: the recipe's rate times 0.1, 1/3, 1 and 3, the best on a fifth of the
images that is held out, with one seed, on a device that is not among those that are compared (smoke: factors that are
best on held-out digits). All are judged by the fast test, which each of them has and which reads the device once for an
image.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import torch

from twofold.data import Dataset
from twofold.methods import BackpropRecipe, FeedForwardRecipe, build
from twofold.nets.backprop import Backprop
from twofold.nets.feedforward import FeedForward
from twofold.substrate import PRESETS, Substrate, program, set_run_length
from twofold.training.trainer import Trainer
from twofold_lab.lab import Lab, percent
from twofold_lab.rates import best, lowered

OURS = "forward-forward"
CHIP = "chip in the loop"
LOCAL = "local backprop"
LEARNERS = (OURS, CHIP, LOCAL, "known derivative", "feedback alignment")
"""What learns on a device: ours; backpropagation with the forward pass of the device and the derivative of the ideal
model; layers with a softmax of their own each; backpropagation with the derivative of the device, an oracle; and with
fixed random feedback."""
DERIVATIVES = {CHIP: "ideal", "known derivative": "known", "feedback alignment": "feedback"}
FACTORS = (0.1, 1 / 3, 1.0, 3.0)
"""Of the recipe's rate, among which each learner's is chosen."""
SMALL_FACTORS = {OURS: 3.0, "feedback alignment": 1 / 3}
"""At smoke size, where they are not 1."""
IDEAL = PRESETS["ideal"]

Net = FeedForward | Backprop


@dataclass(frozen=True)
class Device:
    """A device of a design.

    Attributes:
        substrate: the design.
        seed: of the device.
    """

    substrate: Substrate = IDEAL
    seed: int = 0


def recipe_of(lab: Lab, learner: str, seed: int = 0) -> FeedForwardRecipe | BackpropRecipe:
    """The settings of a learner without its tuned rate; every case counts in full."""
    ours, twin = lab.short()
    recipe: FeedForwardRecipe | BackpropRecipe = ours if learner == OURS else twin
    epochs = lab.pick(smoke=4, full=10)
    return replace(recipe, epochs=epochs, tolerance=0.0, revisit=1.0, validation=0, seed=seed)


def data_of(lab: Lab, first: int = 0, count: int | None = None) -> Dataset:
    """The images that devices learn from: so many from ``first`` (full: 10,000 where no count is given)."""
    whole = lab.data(lab.pick(smoke="digits", full="mnist"))
    count = count or lab.pick(smoke=len(whole.train_labels), full=10_000)
    part = slice(first, first + count)
    return replace(whole, train_images=whole.train_images[part], train_labels=whole.train_labels[part])


def untrained(lab: Lab, learner: str, device: Device, dataset: Dataset, seed: int = 0) -> Net:
    """A net on a device, before it learns; its drift sums up over the run of the recipe."""
    recipe = recipe_of(lab, learner, seed)
    net: Net
    if learner == OURS:
        net = cast(FeedForward, build(recipe, dataset.form))
        if device.substrate != IDEAL:
            device.substrate.install(net, device.seed)
    else:
        net = Backprop(
            dataset.train_images[0].numel(),
            recipe.widths,
            dataset.classes,
            torch.Generator().manual_seed(seed),
            readout="layer" if learner == LOCAL else "top",
            substrate=device.substrate,
            device_seed=device.seed,
            derivative=DERIVATIVES.get(learner, "ideal"),
        )
    if device.substrate != IDEAL:
        set_run_length(net, updates(recipe, dataset))
    return net


def updates(recipe: FeedForwardRecipe | BackpropRecipe, dataset: Dataset) -> int:
    """How many updates a run of the recipe has."""
    return recipe.epochs * math.ceil(len(dataset.train_labels) / recipe.batch)


def trained(lab: Lab, learner: str, device: Device, seed: int, tuned_on: Substrate = IDEAL) -> Net:
    """A net that has learned on its device, with the rate that was chosen on the substrate ``tuned_on``, or with the
    highest of those below it, each a third of the one before, at which its training does not diverge on this device. A
    net that diverges at all of them has learned nothing, and is as it was drawn."""
    dataset, recipe = data_of(lab), recipe_of(lab, learner, seed)

    def learned(rate: float) -> Net:
        return taught(lab, learner, device, replace(recipe, rate=rate), dataset)

    net = lowered(recipe.rate * factor(lab, learner, tuned_on), learned)
    return untrained(lab, learner, device, dataset, seed) if net is None else net


def taught(
    lab: Lab,
    learner: str,
    device: Device,
    recipe: FeedForwardRecipe | BackpropRecipe,
    dataset: Dataset,
    method: Callable[..., Any] | None = None,
    name: str = "",
    told: dict[str, Any] | None = None,
) -> Net:
    """A net that has learned on its device; ``method``, and what is ``told`` of it, are for other rules."""
    net = untrained(lab, learner, device, dataset, recipe.seed)

    def learn(fresh: Net) -> None:
        Trainer(fresh, recipe, (dataset.train_images, dataset.train_labels), method=method).run()

    settings = {"learner": learner, "device": device.seed, **recipe.fields(), **(told or {})}
    physics = {"substrate": asdict(device.substrate) | {"updates": device.substrate.run_length}}
    return lab.train_net(net, f"device-{name or learner.replace(' ', '-')}", dataset, {**settings, **physics}, learn)


def factor(lab: Lab, learner: str, substrate: Substrate) -> float:
    """The factor of the recipe's rate with the smallest error on held-out images, on a device with seed 99."""
    if lab.size == "smoke":
        return SMALL_FACTORS.get(learner, 1.0)
    whole = data_of(lab)
    dataset = whole.hold_out(len(whole.train_labels) // 5)
    device, recipe = Device(substrate, 99), recipe_of(lab, learner)

    def error(times: float) -> float:
        tried = replace(recipe, rate=recipe.rate * times)
        return error_of(taught(lab, learner, device, tried, dataset, name="tuning"), dataset)

    return best(FACTORS, error)


def deployed(net: Net, lab: Lab, learner: str, device: Device) -> Net:
    """The weights of a net programmed into a device; the net stays as it is."""
    copied = untrained(lab, learner, device, data_of(lab))
    copied.to(net.device)
    program(copied, net)
    return copied


def error_of(net: Net, dataset: Dataset, test: str = "fast") -> float:
    """The error of a net on the test images, in percent."""
    copied = copy.deepcopy(net)  # a read moves a device's count of reads, so that a test would change what follows
    images, labels = dataset.test_images.to(net.device), dataset.test_labels.to(net.device)
    return percent(float((copied.predict(images, test) != labels).float().mean()))
