"""Learning methods ("learners") on simulated devices, which the claims ``analog`` and ``mortal`` compare.

A device is a substrate with a seed. All learners have the same hidden layers and the same digital softmax, and train
for the same number of epochs on the same images. Their learning rates are chosen from the same grid: the rate of the
recipe times 0.1, 1/3, 1 and 3. The choice is made on a held-out fifth of the images, with one seed, on a device that is
not compared later. At smoke size the factors are fixed; they were chosen on held-out digits. The reported error is that
of the fast test, which all learners have and which reads the device once per image.
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
"""Names of the learners, in this order: Forward-Forward; backprop with the forward pass of the device and the
derivative of the ideal model; local backprop, with a softmax on each layer; backprop with the true derivative of the
device, which is an oracle; and backprop with fixed random feedback."""
DERIVATIVES = {CHIP: "ideal", "known derivative": "known", "feedback alignment": "feedback"}
FACTORS = (0.1, 1 / 3, 1.0, 3.0)
"""Grid of factors of the recipe's learning rate."""
SMALL_FACTORS = {OURS: 3.0, "feedback alignment": 1 / 3}
"""Learner -> factor of the recipe's learning rate at smoke size; 1 for learners without an entry."""
IDEAL = PRESETS["ideal"]

Net = FeedForward | Backprop
DeviceRecipe = FeedForwardRecipe | BackpropRecipe


@dataclass(frozen=True)
class Device:
    """A simulated device.

    Attributes:
        substrate: the design, which many devices share.
        seed: seed of the random deviations of this device.
    """

    substrate: Substrate = IDEAL
    seed: int = 0


def images(lab: Lab) -> Dataset:
    """Return the data set that nets on devices are trained and tested on."""
    return lab.sized("mnist[:10000]")


def recipe_of(lab: Lab, learner: str, seed: int = 0) -> DeviceRecipe:
    """Return the recipe of a learner before its learning rate is tuned, without importance sampling."""
    recipe = feedforward.short(lab)[learner != OURS]
    epochs = lab.pick(smoke=4, full=10)
    return replace(recipe, epochs=epochs, tolerance=0.0, revisit=1.0, validation=0, seed=seed)


def tuned(lab: Lab, learner: str, substrate: Substrate, seed: int = 0) -> DeviceRecipe:
    """Return the recipe of a learner with the rate of the smallest held-out error on a device of ``substrate``."""
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
    """Return the number of weight updates in a training run of the recipe."""
    return recipe.epochs * math.ceil(len(dataset.train_labels) / recipe.batch)


def untrained(learner: str, device: Device, recipe: DeviceRecipe, dataset: Dataset) -> Net:
    """Return an untrained net on a device. The drift of the device is spread over one training run of the recipe."""
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
    """Return the training of a net on a device.

    Args:
        lab: the laboratory.
        learner: one of `LEARNERS`.
        device: the device.
        recipe: settings of the training.
        dataset: training data.
        title: part of the name of the weights file; by default the name of the learner.
        method: see `CustomTraining`.
        settings: further settings that determine the trained weights.
    """
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
    """Return a net that is trained on a device, with the learning rate that was chosen on the substrate ``tuned_on``.

    If the training diverges, it is repeated at lower rates. If the training diverges at all rates, the net is
    untrained.
    """
    name = f"{learner}, mismatch {device.substrate.mismatch:g}, device {device.seed}, seed {seed}"
    recipe = tuned(lab, learner, tuned_on, seed)
    return training(lab, learner, device, recipe, images(lab)).train_or_lower(name)


def deployed(net: Net, lab: Lab, learner: str, device: Device) -> Net:
    """Return a net on ``device`` that is programmed with the weights of ``net``. ``net`` does not change."""
    deployed = untrained(learner, device, recipe_of(lab, learner), images(lab))
    deployed.to(net.device)
    program(deployed, net)
    return deployed


def error_of(net: Net, dataset: Dataset, test: str = "fast") -> float:
    """Return the error of a net on the test images, in percent, without adding to the read counter of the net."""
    tested, (test_images, labels) = copy.deepcopy(net), (tensor.to(net.device) for tensor in dataset.test)
    return percent(float((tested.predict(test_images, test) != labels).float().mean()))


def mean_error(lab: Lab, nets: Iterable[Net], test: str = "fast") -> dict[str, float]:
    """Return the mean and standard deviation of the test errors of ``nets``, in percent."""
    return mean_and_std(error_of(net, images(lab), test) for net in nets)
