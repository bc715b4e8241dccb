"""The public API: one right call of every constructor, method and function, with every argument that it takes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import fields, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import twofold
from support.estimator_calls import ESTIMATOR_CALLS
from support.small_layers import seeded
from twofold.data import Dataset
from twofold.layers.boxes import OneBit
from twofold.layers.connectivity import Full
from twofold.layers.dense import dense
from twofold.layers.recurrent import RecurrentLayer, TimeStep
from twofold.normalize import normalize

COUNT, PIXELS, CLASSES, WIDTHS, SHAPE = 6, 9, 3, (5, 4), (1, 3, 3)

Call = tuple[Callable[..., Any], dict[str, Any]]
"""A function, and right arguments by name; those that a star takes are a tuple."""


def images() -> Tensor:
    return torch.rand(COUNT, *SHAPE, generator=seeded(1))


def labels() -> Tensor:
    return torch.arange(COUNT) % CLASSES


def candidates() -> Tensor:
    return torch.stack([labels(), (labels() + 1) % CLASSES], 1)


def weight() -> Tensor:
    return torch.linspace(0.5, 1.5, COUNT)


def below(count: int = COUNT, inputs: int = PIXELS, seed: int = 2) -> Tensor:
    return normalize(torch.rand(count, inputs, generator=seeded(seed)))


RULE = twofold.Rule(objective=twofold.OBJECTIVES["logistic"], temperature=1.0)
FIELDS = twofold.Fields((1, 3, 3), 2, 2)
SUBSTRATE = twofold.Substrate(
    **{"full_scale": 4.0, "bits": 6, "softness": 0.5, "dac_bits": 7, "adc_bits": 9},
    **{"saturation": 3.0, "saturation_spread": 0.1, "threshold": 0.1, "mismatch": 0.2},
)


def feedforward() -> twofold.FeedForward:
    return twofold.FeedForward.dense(SHAPE, WIDTHS, CLASSES, RULE, generator=seeded())


def recurrent() -> twofold.Recurrent:
    return twofold.Recurrent(PIXELS, WIDTHS, CLASSES, RULE, generator=seeded())


def unsupervised() -> twofold.Unsupervised:
    return twofold.Unsupervised(dense(PIXELS, WIDTHS, RULE, seeded()), CLASSES)


def twin() -> twofold.Backprop:
    return twofold.Backprop(PIXELS, WIDTHS, CLASSES, seeded())


def layer() -> twofold.Dense:
    return twofold.Dense(PIXELS, 5, RULE, seeded())


def module() -> nn.Module:
    linear = nn.Linear(PIXELS, 5)
    nn.init.normal_(linear.weight, generator=seeded())
    nn.init.zeros_(linear.bias)
    return nn.Sequential(linear, nn.ReLU())


def any_layer() -> twofold.CustomLayer:
    return twofold.CustomLayer(module(), 5, RULE)


def settling() -> RecurrentLayer:
    return twofold.RecurrentLayer({"below": PIXELS, "beside": 5}, 5, RULE, seeded())


def seen_by(settled: RecurrentLayer) -> list[TimeStep]:
    sources = {"below": below(2 * COUNT), "beside": below(2 * COUNT, 5)}
    found = settled.respond(sources, None, 0.3)
    return [TimeStep(sources, found.active, found.goodness)]


def data() -> Dataset:
    return twofold.as_dataset("tiny", images(), labels(), images(), labels(), classes=CLASSES)


def recipe() -> Any:
    small = {"data": "tiny", "widths": WIDTHS, "epochs": 1, "batch": 2, "validation": 0, "jitter": 0}
    return replace(twofold.RECIPES["digits"], **small)


def run_folder() -> Path:
    return Path(tempfile.mkdtemp()) / "run"


@cache
def trained() -> Path:
    folder = run_folder()
    twofold.train(recipe(), folder, data())
    return folder


@cache
def table_file() -> Path:
    path = Path(tempfile.mkdtemp()) / "table.csv"
    path.write_text("kind,x\na,1\nb,2\na,3\nb,4\n", encoding="utf-8")
    return path


def told(metrics: object) -> None:
    """A function of one argument that is told something."""


def watched(net: twofold.Recurrent) -> dict[str, Any]:
    frame = net.images(images())
    return {"frame": frame, "top": net.top(labels()), "state": net.start(frame)}


def of(
    make: Callable[[], Any], name: str, arguments: Callable[[Any], dict[str, Any]] | dict[str, Any]
) -> Callable[[], Call]:
    """A method of what is made anew for each call."""

    def call() -> Call:
        made = make()
        return getattr(made, name), arguments(made) if callable(arguments) else arguments

    return call


def of_fields(one: Any) -> Call:
    """The constructor of a dataclass, with the fields of one of its instances."""
    return type(one), {each.name: getattr(one, each.name) for each in fields(one)}


PICTURES: dict[str, Any] = {"images": images()}
CALIBRATION_CASES = {**PICTURES, "labels": candidates()}
BATCH = {**PICTURES, "labels": labels(), "rate": 0.1, "case_weight": weight()}
TAUGHT = {**BATCH, "softmax_rate": 0.2, "negatives": twofold.NEGATIVES["random"]}
HELD = {"data": (images(), labels()), "shortlist": 2}
PAIR = {"positive": below(), "negative": below(seed=3), "rate": 0.1, "case_weight": weight()}
STACK = {"counted_from": 1, "softmax_decay": 0.01}


def gathered(kind: Callable[[], Any]) -> Callable[[], Call]:
    return of(kind, "gather", lambda one: {"seen": one.respond(below()), "phase": "positive", "case_weight": weight()})


CALLS: dict[str, Callable[[], Call]] = {
    "Rule": lambda: of_fields(RULE),
    "Goodness": lambda: of_fields(twofold.GOODNESS["mean_of_squares"]),
    "Objective": lambda: of_fields(twofold.OBJECTIVES["symba"]),
    "Fields": lambda: of_fields(FIELDS),
    "Fields.span": lambda: (FIELDS.span, {"point": 1, "size": 3}),
    "Rule.temperature_for": lambda: (RULE.temperature_for, {"units": 4}),
    # Layers
    "Dense": lambda: (twofold.Dense, {"inputs": PIXELS, "units": 5, "rule": RULE, "generator": seeded()}),
    "LocallyConnected": lambda: (
        twofold.LocallyConnected,
        {"fields": FIELDS, "rule": RULE, "generator": seeded(), "tile": (1, 2)},
    ),
    "Convolution": lambda: (
        twofold.Convolution,
        {
            **{"shape_below": (2, 3, 3), "channels": 4, "kernel_size": 2, "stride": (1, 2), "padding": 1},
            **{"dilation": 1, "groups": 2, "rule": RULE, "generator": seeded()},
        },
    ),
    "BlackBox": lambda: (twofold.BlackBox, {"function": torch.relu, "units": 5, "timeout": 9.0}),
    "BlackBox.forward": of(lambda: twofold.BlackBox(torch.relu), "forward", {"activity": below(inputs=5)}),
    "Fixed": lambda: (twofold.Fixed, {"module": nn.MaxPool2d(2)}),
    "Activation": lambda: of_fields(twofold.ACTIVATIONS["leaky_relu"]),
    "CustomLayer": lambda: (twofold.CustomLayer, {"module": module(), "units": 5, "rule": RULE}),
    "RecurrentLayer": lambda: (
        twofold.RecurrentLayer,
        {
            **{"sources": {"below": PIXELS}, "units": 5, "rule": RULE, "generator": seeded()},
            **{"connectivity": {"below": Full(5, PIXELS)}, "start": {"below": 0.5}},
        },
    ),
    "WeightedLayer.forward": of(layer, "forward", {"below": below(), "activate": False}),
    "CustomLayer.forward": of(any_layer, "forward", {"below": below()}),
    "CustomLayer.respond": of(any_layer, "respond", {"below": below()}),
    "RecurrentLayer.respond": of(
        settling,
        "respond",
        {"sources": {"below": below(), "beside": below(inputs=5)}, "before": below(inputs=5), "damping": 0.3},
    ),
    "FeedForwardLayer.output": of(layer, "output", {"activity": below(inputs=5)}),
    "WeightedLayer.respond": of(layer, "respond", {"below": below()}),
    "FeedForwardLayer.goodness": of(layer, "goodness", {"activity": below(inputs=5)}),
    "FeedForwardLayer.learn": of(layer, "learn", PAIR),
    "WeightedLayer.gather": gathered(layer),
    "CustomLayer.gather": gathered(any_layer),
    "RecurrentLayer.gather": of(
        settling, "gather", lambda one: {"seen": seen_by(one), "phase": "both", "case_weight": weight()}
    ),
    "Layer.apply_gradient": of(layer, "apply_gradient", {"rate": 0.1}),
    "Layer.drop": of(layer, "drop", lambda one: {"memory": one.memory()}),
    "Substrate": lambda: of_fields(SUBSTRATE),
    "Substrate.install": lambda: (SUBSTRATE.install, {"module": layer(), "seed": 1}),
    "Substrate.array": lambda: (SUBSTRATE.array, {"weight": torch.rand(5, 4, generator=seeded()), "seed": 1}),
    # Nets
    "FeedForward": lambda: (
        twofold.FeedForward,
        {"layers": [twofold.Dense(PIXELS, 5, RULE, seeded())], "classes": CLASSES, "label_in": "overlay", **STACK}
        | {"label_strength": 2.0},
    ),
    "FeedForward.dense": lambda: (
        twofold.FeedForward.dense,
        {
            "shape": SHAPE,
            "widths": WIDTHS,
            "classes": CLASSES,
            "rule": RULE,
            "label_in": "overlay",
            "generator": seeded(),
        },
    ),
    "Unsupervised": lambda: (
        twofold.Unsupervised,
        {"layers": [layer()], "classes": CLASSES, **STACK, "center": True},
    ),
    "Recurrent": lambda: (
        twofold.Recurrent,
        {
            **{"inputs": PIXELS, "widths": WIDTHS, "classes": CLASSES, "rule": RULE, "damping": 0.2, "iterations": 3},
            **{"judged": (1, 2), "label_strength": 2.0, "label_to": "all", "top_down": True, "lateral": True},
            **{"center": True, "connectivity": [{"below": Full(5, PIXELS)}], "softmax_decay": 0.01},
            "top_down_start": 0.5,
            "generator": seeded(),
        },
    ),
    "Backprop": lambda: (
        twofold.Backprop,
        {
            **{"pixels": PIXELS, "widths": WIDTHS, "classes": CLASSES, "generator": seeded(), "center": True},
            **{"connectivity": [Full(5, PIXELS), Full(4, 5)], "readout": "top", "gradient": "known"},
            **{"substrate": SUBSTRATE, "device_seed": 1, "derivative": "known", "boxes": {1: OneBit(5)}},
        },
    ),
    "FeedForward.learn": of(feedforward, "learn", lambda _: {**TAUGHT, "learning": range(1, 2), "generator": seeded()}),
    "Recurrent.learn": of(
        recurrent, "learn", lambda _: {**TAUGHT, "first": 2, "window": 3, "settle": True, "generator": seeded()}
    ),
    "Unsupervised.learn": of(
        unsupervised, "learn", lambda _: {**BATCH, "softmax_rate": 0.2, "blurs": 1, "generator": seeded()}
    ),
    "Backprop.learn": of(twin, "learn", lambda _: {**BATCH, "rule": RULE, "generator": seeded()}),
    "Recurrent.learn_video": of(
        recurrent,
        "learn_video",
        lambda net: {
            **{"video": [net.images(images())] * 3, "top": net.top(torch.cat([labels(), (labels() + 1) % CLASSES]))},
            "state": tuple(each.repeat(2) for each in net.start(net.images(images()))),
            **{"rate": 0.1, "case_weight": weight(), "first": 1, "window": 2},
        },
    ),
    "Net.set_precision": of(feedforward, "set_precision", {"precision": "fp32"}),
    "Backprop.set_precision": of(twin, "set_precision", {"precision": "fp32"}),
    "Classifier.predict": of(twin, "predict", {**PICTURES, "test": "fast"}),
    "GoodnessClassifier.predict": of(feedforward, "predict", {**PICTURES, "test": "both"}),
    "Classifier.evaluate": of(twin, "evaluate", HELD),
    "GoodnessClassifier.evaluate": of(feedforward, "evaluate", HELD),
    "Classifier.explain": of(feedforward, "explain", {"case": images()[:1]}),
    "Classifier.passes": of(twin, "passes", {"shortlist": 2}),
    "Backprop.passes": of(twin, "passes", {"shortlist": 2}),
    "FeedForward.passes": of(feedforward, "passes", {"shortlist": 2}),
    "Recurrent.passes": of(recurrent, "passes", {"shortlist": 2}),
    "Backprop.forward": of(twin, "forward", PICTURES),
    "Backprop.fast": of(twin, "fast", PICTURES),
    "Backprop.scores": of(twin, "scores", {**PICTURES, "shortlist": 2}),
    "SoftmaxClassifier.scores": of(unsupervised, "scores", {**PICTURES, "shortlist": 2}),
    "GoodnessClassifier.scores": of(feedforward, "scores", {**PICTURES, "shortlist": 2}),
    "SoftmaxClassifier.fast": of(feedforward, "fast", PICTURES),
    "Classifier.familiarity": of(twin, "familiarity", PICTURES),
    "GoodnessClassifier.familiarity": of(feedforward, "familiarity", PICTURES),
    "GoodnessClassifier.evidence": of(feedforward, "evidence", PICTURES),
    "SoftmaxClassifier.forward": of(feedforward, "forward", PICTURES),
    "SoftmaxClassifier.readings": of(unsupervised, "readings", PICTURES),
    "Recurrent.readings": of(recurrent, "readings", PICTURES),
    "GoodnessClassifier.slow": of(feedforward, "slow", PICTURES),
    "GoodnessClassifier.both": of(feedforward, "both", PICTURES),
    "GoodnessClassifier.shortlist": of(feedforward, "shortlist", {**PICTURES, "size": 2}),
    "GoodnessClassifier.total": of(
        feedforward, "total", {"goodness": torch.rand(COUNT, CLASSES, 2, generator=seeded())}
    ),
    "GoodnessClassifier.every_label": of(feedforward, "every_label", PICTURES),
    "FeedForward.images": of(feedforward, "images", PICTURES),
    "FeedForward.with_label": of(feedforward, "with_label", {**PICTURES, "labels": labels()}),
    "FeedForward.with_neutral_label": of(feedforward, "with_neutral_label", PICTURES),
    "FeedForward.features": of(feedforward, "features", PICTURES),
    "FeedForward.goodness": of(feedforward, "goodness", CALIBRATION_CASES),
    "Unsupervised.images": of(unsupervised, "images", PICTURES),
    "Unsupervised.features": of(unsupervised, "features", PICTURES),
    "Recurrent.images": of(recurrent, "images", PICTURES),
    "Recurrent.features": of(recurrent, "features", PICTURES),
    "Recurrent.settled": of(recurrent, "settled", PICTURES),
    "Recurrent.goodness": of(recurrent, "goodness", CALIBRATION_CASES),
    "Recurrent.top": of(recurrent, "top", {"labels": labels()}),
    "Recurrent.neutral_top": of(recurrent, "neutral_top", {"count": 3}),
    "Recurrent.start": of(recurrent, "start", {"frame": below()}),
    "Recurrent.sources": of(recurrent, "sources", watched),
    "Recurrent.step": of(recurrent, "step", watched),
    "Recurrent.watch": of(
        recurrent,
        "watch",
        lambda net: {"video": [below()] * 2, "top": net.top(labels()), "state": net.start(below())},
    ),
    "Recurrent.look": of(recurrent, "look", lambda net: {"frame": below(), "top": net.top(labels()), "iterations": 2}),
    "Recurrent.read_state": of(recurrent, "read_state", lambda net: {"state": watched(net)["state"]}),
    "Recurrent.trace": of(
        recurrent, "trace", lambda net: {"frame": net.images(images()), "labels": candidates(), "iterations": 2}
    ),
    "Recurrent.mean_squares": of(
        recurrent, "mean_squares", lambda net: {"frame": net.images(images()), "labels": candidates(), "iterations": 2}
    ),
    **ESTIMATOR_CALLS,
    # Functions
    "random_wrong_labels": lambda: (
        twofold.random_wrong_labels,
        {"labels": labels(), "logits": torch.rand(COUNT, CLASSES, generator=seeded()), "generator": seeded()},
    ),
    "hard_wrong_labels": lambda: (
        twofold.hard_wrong_labels,
        {"labels": labels(), "logits": torch.rand(COUNT, CLASSES, generator=seeded()), "generator": seeded()},
    ),
    "evaluate": lambda: (twofold.evaluate, {"net": twin(), **HELD}),
    "fit": lambda: (
        twofold.fit,
        {
            "net": twin(),
            "data": HELD["data"],
            "epochs": 1,
            "batch": 2,
            "seed": 3,
            "schedule": "constant",
            "on_epoch": told,
            "on_batch": lambda trainer, batch, result: None,
            "settings": {"rate": 0.1},
        },
    ),
    "as_dataset": lambda: (
        twofold.as_dataset,
        {
            **{"name": "own", "train_images": images(), "train_labels": labels()},
            **{"test_images": images(), "test_labels": labels(), "classes": CLASSES, "names": ("a", "b", "c")},
            **{"table": False, "test_share": 0.5, "seed": 3},
        },
    ),
    "read_data": lambda: (
        twofold.read_data,
        {
            **{"path": table_file(), "label": "kind", "size": None, "test": table_file(), "test_share": None},
            **{"seed": 3, "skip_unreadable": False},
        },
    ),
    "recipe_for": lambda: (twofold.recipe_for, {"dataset": data(), "like": "digits"}),
    "draw": lambda: (twofold.draw, {"run": twofold.load(trained(), "cpu"), "data": data(), "twin": None}),
    "load_data": lambda: (
        twofold.load_data,
        {"name": "digits", "data_dir": Path(tempfile.gettempdir()), "download": False},
    ),
    "train": lambda: (
        twofold.train,
        {
            **{"recipe": recipe(), "folder": run_folder(), "data": data(), "name": "tiny", "device": "cpu"},
            **{"precision": "fp32", "resume": False, "offload": False, "start": None, "net": None, "progress": told},
        },
    ),
    "load": lambda: (twofold.load, {"path": trained(), "device": "cpu", "precision": "fp32", "net": None}),
    "export": lambda: (twofold.export, {"run": trained(), "path": trained().with_name("net.safetensors")}),
    **{f"{type(one).__name__}": partial(of_fields, one) for one in twofold.RECIPES.values()},
}
