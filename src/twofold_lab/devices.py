"""Learners on simulated devices, which the claims ``analog`` and ``mortal`` compare.

A device is a substrate and a seed. All learners have the same hidden layers and the same digital softmax, see the same
images equally often, and are tuned on the same grid: the recipe's rate times 0.1, 1/3, 1 and 3, of which the best is
chosen on a fifth of the images that is held out, with one seed, on a device that is not among those compared (smoke:
fixed factors, chosen on held-out digits). The error is that of the fast test, which all learners have and which reads
the device once per image.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import torch

from twofold.data import Dataset
from twofold.methods import BackpropRecipe, FeedForwardRecipe, build
from twofold.nets.backprop import Backprop
from twofold.nets.feedforward import FeedForward
from twofold.substrate import PRESETS, Substrate, program, set_run_length
from twofold_lab import feedforward
from twofold_lab.contest import CustomTraining, tune
from twofold_lab.figures import mean_and_std, percent
from twofold_lab.lab import Lab

OURS = "forward-forward"
CHIP = "chip in the loop"
LOCAL = "local backprop"
LEARNERS = (OURS, CHIP, LOCAL, "known derivative", "feedback alignment")
"""Forward-Forward; backpropagation with the forward pass of the device and the derivative of the ideal model; layers
with a softmax each; backpropagation with the derivative of the device, an oracle; and with fixed random feedback."""
DERIVATIVES = {CHIP: "ideal", "known derivative": "known", "feedback alignment": "feedback"}
FACTORS = (0.1, 1 / 3, 1.0, 3.0)
"""Factors of the recipe's rate, among which that of each learner is chosen."""
SMALL_FACTORS = {OURS: 3.0, "feedback alignment": 1 / 3}
"""The factors at smoke size, if they are not 1."""
IDEAL = PRESETS["ideal"]

Net = FeedForward | Backprop
DeviceRecipe = FeedForwardRecipe | BackpropRecipe


@dataclass(frozen=True)
class Device:
    """A device of a design.

    Attributes:
        substrate: the design.
        seed: seed of the device.
    """

    substrate: Substrate = IDEAL
    seed: int = 0


def images(lab: Lab) -> Dataset:
    """Return the data that devices learn from."""
    return lab.sized("mnist[:10000]")


def recipe_of(lab: Lab, learner: str, seed: int = 0) -> DeviceRecipe:
    """Return the settings of a learner at the rate of the recipe, without importance sampling."""
    recipe = feedforward.short(lab)[learner != OURS]
    epochs = lab.pick(smoke=4, full=10)
    return replace(recipe, epochs=epochs, tolerance=0.0, revisit=1.0, validation=0, seed=seed)


def tuned(lab: Lab, learner: str, substrate: Substrate, seed: int = 0) -> DeviceRecipe:
    """Return the settings of a learner at the rate with the smallest error on held-out images, on a substrate."""
    recipe = recipe_of(lab, learner, seed)
    if lab.size == "smoke":
        return replace(recipe, rate=recipe.rate * SMALL_FACTORS.get(learner, 1.0))
    dataset = images(lab).hold_out(len(images(lab).train_labels) // 5)
    trial = training(lab, learner, Device(substrate, 99), recipe_of(lab, learner), dataset, "tuning")

    def held_out_error(factor: float) -> float:
        return error_of(trial.train(recipe.rate * factor), dataset)

    factor = tune(lab, f"{learner}, mismatch {substrate.mismatch:g}: factor of the rate", FACTORS, held_out_error)
    return replace(recipe, rate=recipe.rate * factor)


def updates(recipe: DeviceRecipe, dataset: Dataset) -> int:
    """Return the number of updates of a run of the recipe."""
    return recipe.epochs * math.ceil(len(dataset.train_labels) / recipe.batch)


def untrained(learner: str, device: Device, recipe: DeviceRecipe, dataset: Dataset) -> Net:
    """Return a net on a device, before it learns. Its drift accumulates over the run of the recipe."""
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
            torch.Generator().manual_seed(recipe.seed),
            readout="layer" if learner == LOCAL else "top",
            substrate=device.substrate,
            device_seed=device.seed,
            derivative=DERIVATIVES.get(learner, "ideal"),
        )
    if device.substrate != IDEAL:
        set_run_length(net, updates(recipe, dataset))
    return net


def training(
    lab: Lab,
    learner: str,
    device: Device,
    recipe: DeviceRecipe,
    dataset: Dataset,
    title: str = "",
    method: Callable[..., Any] | None = None,
    **settings: Any,
) -> CustomTraining[Net]:
    """Return the training of a net on a device; see `CustomTraining`."""
    physics = {"substrate": asdict(device.substrate) | {"updates": device.substrate.run_length}}
    return CustomTraining(
        lab,
        f"device-{title or learner.replace(' ', '-')}",
        lambda recipe: untrained(learner, device, recipe, dataset),
        recipe,
        dataset,
        {"learner": learner, "device": device.seed, **settings, **physics},
        method,
    )


def trained(lab: Lab, learner: str, device: Device, seed: int, tuned_on: Substrate = IDEAL) -> Net:
    """Return a net that learned on its device, at the rate chosen on the substrate ``tuned_on``.

    If it diverges, it learns at a lower rate; if all diverge, it is untrained.
    """
    name = f"{learner}, mismatch {device.substrate.mismatch:g}, device {device.seed}, seed {seed}"
    recipe = tuned(lab, learner, tuned_on, seed)
    return training(lab, learner, device, recipe, images(lab)).train_or_lower(name)


def deployed(net: Net, lab: Lab, learner: str, device: Device) -> Net:
    """Return a device programmed with the weights of a net, which does not change."""
    deployed = untrained(learner, device, recipe_of(lab, learner), images(lab))
    deployed.to(net.device)
    program(deployed, net)
    return deployed


def error_of(net: Net, dataset: Dataset, test: str = "fast") -> float:
    """Return the error of a net on the test images, in percent. The net's count of reads does not change."""
    tested, (test_images, labels) = copy.deepcopy(net), (part.to(net.device) for part in dataset.test)
    return percent(float((tested.predict(test_images, test) != labels).float().mean()))


def mean_error(lab: Lab, nets: Iterable[Net], test: str = "fast") -> dict[str, float]:
    """Return the mean and standard deviation of the errors of nets, in percent."""
    return mean_and_std(error_of(net, images(lab), test) for net in nets)
