"""Nets as ONNX files: onnxruntime gives the answers of every test, for a batch of any size.

Oracle: the net's own tests, in single precision, which share no code with what is exported but the products.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

import twofold
from small_layers import seeded
from small_nets import CLASSES, NETS, PIXELS, SHAPE, WIDTHS
from twofold.checks import looked_at
from twofold.data import Dataset
from twofold.data.preparation import Preparation
from twofold.layers.connectivity import Full
from twofold.layers.local import local
from twofold.layers.tiles import Tiled

PREPARATION = Preparation("pictures", SHAPE, tuple("0123456789"))
MAPS = [twofold.Fields(SHAPE, 4, 4, 2, 0), twofold.Fields((4, 3, 3), 3, 3, 1, 1)]


def convolution() -> twofold.FeedForward:
    """Shared weights, a label in planes, pooling behind a layer, uneven padding."""
    layers = [
        twofold.Convolution((CLASSES + 1, 8, 8), 6, 3, padding=1, generator=seeded()),
        twofold.Fixed(nn.MaxPool2d(2)),
        twofold.Convolution((6, 4, 4), 8, 2, padding="same", generator=seeded(1)),
    ]
    return twofold.FeedForward(layers, CLASSES, label_in="planes", counted_from=1)


def otherwise() -> twofold.FeedForward:
    """A label over the image, another goodness and another unit."""
    rule = twofold.Rule(goodness="mean_of_squares", unit="gelu")
    return twofold.FeedForward.dense(SHAPE, WIDTHS, CLASSES, rule, label_in="overlay", generator=seeded())


def all_around() -> twofold.Recurrent:
    """Layers that see themselves and the label."""
    how: dict[str, Any] = {"lateral": True, "label_to": "all", "center": True, "iterations": 5, "judged": (2, 4)}
    return twofold.Recurrent(PIXELS, (*WIDTHS, 20), CLASSES, generator=seeded(), **how)


FAMILIES: dict[str, Callable[[], Any]] = {
    **NETS,
    "feedforward, otherwise": otherwise,
    "feedforward, convolution": convolution,
    "recurrent, all around": all_around,
    "recurrent, local": lambda: twofold.Recurrent(
        PIXELS, (36, 20), CLASSES, connectivity=[{"below": Tiled(MAPS[0]), "above": Full(36, 20)}], generator=seeded()
    ),
    "unsupervised, local": lambda: twofold.Unsupervised(local(MAPS, None, seeded()), CLASSES, center=True),
    "backprop, local": lambda: twofold.Backprop(
        PIXELS, (36, 27), CLASSES, seeded(), connectivity=[Tiled(each) for each in MAPS], center=True
    ),
}


def drawn(family: str) -> Any:
    """A net whose weights all say something, the softmaxes' too."""
    net = FAMILIES[family]()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=seeded(3)))
    return net


def answered(path: Path, given: Tensor) -> dict[str, Tensor]:
    """What onnxruntime makes of a file and its input."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    found = session.run(None, {session.get_inputs()[0].name: given.numpy()})
    return {name: torch.from_numpy(each) for name, each in zip(names, found, strict=True)}


def expect(found: dict[str, Tensor], net: Any, images: Tensor) -> None:
    """All tests and labels are the net's own."""
    scores = net.scores(images)
    assert set(scores) == found.keys() - {"label", "probability", "goodness"}
    for test, score in scores.items():
        torch.testing.assert_close(found[test], score, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(found[test].argmax(1), score.argmax(1))
    assert found["label"].equal(net.predict(images))
    torch.testing.assert_close(found["probability"].sum(1), torch.ones(len(images)))
    goodness = net.evaluate(images, torch.zeros(len(images), dtype=torch.int64)).goodness
    assert ("goodness" in found) == (goodness is not None)
    if goodness is not None:
        torch.testing.assert_close(found["goodness"], goodness, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_exported_of_a_net_are_the_answers_of_its_tests(family: str) -> None:
    net, images = drawn(family), torch.rand(9, *SHAPE, generator=seeded(4))
    with torch.no_grad(), looked_at():
        found = net.traced(images)
    expect(
        {**found, "label": next(iter(found.values())).argmax(1), "probability": found["fast"].softmax(1)}, net, images
    )


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_onnxruntime_gives_the_answers_of_every_test_for_a_thousand_cases(
    family: str, tmp_path: Path, digits: Dataset
) -> None:
    net = FAMILIES[family]()
    twofold.fit(net, *digits.train, epochs=1)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    path = twofold.export(net, tmp_path / "net.onnx", PREPARATION)
    images = torch.cat([digits.train_images, digits.test_images])[:1000]
    for count in (1000, 1, 3, 257):
        expect(answered(path, images[:count]), net, images[:count])
    onnx.checker.check_model(str(path), full_check=True)
    model = onnx.load(path)
    assert [each.dim_param for each in model.graph.input[0].type.tensor_type.shape.dim] == ["batch", "", "", ""]
    assert {each.type.tensor_type.shape.dim[0].dim_param for each in model.graph.output} == {"batch"}
    assert all(tensor.equal(before[name]) for name, tensor in net.state_dict().items())
