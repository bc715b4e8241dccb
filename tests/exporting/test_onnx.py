"""Nets as ONNX files: onnxruntime gives the answers of every test, for a batch of any size.

Oracle: the net's own tests, in single precision, which share no code with what is exported but the products.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

import twofold
from support.helpers import refusal
from support.small_layers import seeded
from support.small_nets import CLASSES, NETS, PIXELS, SHAPE, WIDTHS
from twofold.data import Dataset
from twofold.data.preparation import Preparation
from twofold.errors import RunError, SettingError, TwofoldError
from twofold.exporting import onnx as exporter
from twofold.layers.boxes import BOXES
from twofold.layers.dense import dense
from twofold.layers.local import local
from twofold.layers.tiles import Tiled
from twofold.nets.backprop import Backprop
from twofold.nets.joint import joint
from twofold.nets.net import Net

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
    how: dict[str, Any] = {"lateral": True, "label_to": "all", "center": True, "iterations": 3, "judged": (2, 3)}
    return twofold.Recurrent(PIXELS, (*WIDTHS, 20), CLASSES, generator=seeded(), **how)


FAMILIES: dict[str, Callable[[], Any]] = {
    **NETS,
    "feedforward, otherwise": otherwise,
    "feedforward, convolution": convolution,
    "recurrent, all around": all_around,
    "recurrent, local": lambda: twofold.Recurrent(
        PIXELS,
        (36, 20),
        CLASSES,
        connectivity=[{"below": Tiled(MAPS[0])}],
        iterations=3,
        judged=(1, 3),
        generator=seeded(),
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


def written(net: Any, folder: Path, preparation: Preparation = PREPARATION) -> Path:
    exporter.write(net, folder / "net.onnx", preparation)
    return folder / "net.onnx"


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
    torch.testing.assert_close(found["probability"], net.probabilities(scores), rtol=1e-4, atol=1e-4)
    goodness = net.evaluate(images, torch.zeros(len(images), dtype=torch.int64)).goodness
    assert ("goodness" in found) == (goodness is not None)
    if goodness is not None:
        torch.testing.assert_close(found["goodness"], goodness, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_exported_of_a_net_are_the_answers_of_its_tests(family: str) -> None:
    net, images = drawn(family), torch.rand(9, *SHAPE, generator=seeded(4))
    with torch.no_grad():
        found = net._traced(images)
    label, probability = next(iter(found.values())).argmax(1), net.probabilities(found)
    expect({**found, "label": label, "probability": probability}, net, images)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_onnxruntime_gives_the_answers_of_every_test_for_a_thousand_cases(
    family: str, tmp_path: Path, digits: Dataset
) -> None:
    net = FAMILIES[family]()
    list(twofold.fit(net, *digits.train, epochs=1))
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    path = written(net, tmp_path)
    images = torch.cat([digits.train_images, digits.test_images])[:1000]
    for count in (1000, 1, 3, 257):
        expect(answered(path, images[:count]), net, images[:count])
    onnx.checker.check_model(str(path), full_check=True)
    model = onnx.load(path)
    assert [each.dim_param for each in model.graph.input[0].type.tensor_type.shape.dim] == ["batch", "", "", ""]
    assert {each.type.tensor_type.shape.dim[0].dim_param for each in model.graph.output} == {"batch"}
    assert all(tensor.equal(before[name]) for name, tensor in net.state_dict().items())


TABLE = Preparation(
    "table",
    (1, 1, 5),
    ("no", "yes", "perhaps"),
    columns=("age", "color", "constant"),
    mean=(1.7e9 + 26.1014612, 0.0, 3.0),
    scale=(250.0, 1.0, 1.0),
    categories={"color": ("blue", "green", "red")},
)


@pytest.mark.slow
def test_a_file_for_tables_takes_raw_columns_and_says_what_it_is(tmp_path: Path) -> None:
    """Seconds since 1970 minus their mean need double precision. A text that training did not have is no category."""
    net = twofold.Backprop(5, (7,), 3, seeded())
    net.stack[-1].weight.data.normal_(generator=seeded(1))
    path = written(net, tmp_path, TABLE)
    age, color = [1.7e9 + 30, 1.7e9 - 401.5, 1.7e9], ["red", "blue", "green"]
    cases = TABLE.table({"age": age, "color": color, "constant": [3.0, 3.0, 4.0]})
    given = torch.tensor([[age[0], 2, 3], [age[1], 0, 3], [age[2], 1, 4]], dtype=torch.float64)
    expect(answered(path, given), net, cases)
    unknown = cases[2:].clone()
    unknown[..., 1:4] = 0
    expect(answered(path, torch.tensor([[age[2], 9, 4]], dtype=torch.float64)), net, unknown)
    said = {each.key: each.value for each in onnx.load(path).metadata_props}
    assert json.loads(said["names"]) == ["no", "yes", "perhaps"]
    assert json.loads(said["tests"]) == ["fast"]
    assert Preparation.from_json(json.loads(said["preparation"])) == TABLE


@pytest.mark.slow
def test_a_file_that_would_give_other_answers_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = drawn("backprop")
    exact = type(net).scores
    monkeypatch.setattr(type(net), "scores", lambda net, images, *_: {"fast": 1.001 * exact(net, images)["fast"]})
    said = refusal(lambda: written(net, tmp_path))
    assert said.startswith("onnxruntime and PyTorch differ in the output ")
    assert not list(tmp_path.iterdir())


def test_shortlists_may_differ_only_where_the_fast_test_finds_labels_alike() -> None:
    fast = torch.tensor([[0.0, 2.0, 1.0, 1.0], [3.0, 2.0, 1.0, 0.0]])
    slow = torch.tensor([[5.0, 6.0, 7.0, 8.0]]).repeat(2, 1)
    out = -torch.inf
    wanted = torch.tensor([[out, 6.0, 7.0, out], [5.0, 6.0, out, out]])
    assert exporter.same(wanted, wanted, fast)
    assert exporter.same(torch.tensor([[out, 6.0, out, 8.0], [5.0, 6.0, out, out]]), wanted, fast)
    for wrong in ([5.0, out, 7.0, out], [5.0, 6.0, 7.0, out], [5.0, 6.001, out, out], [5.0, torch.nan, out, out]):
        assert not exporter.same(torch.stack([wanted[0], torch.tensor(wrong)]), wanted, fast)
    assert not exporter.same(slow + 1e-3, slow, fast)


def test_where_two_classes_are_nearly_alike_their_standardized_scores_may_differ_by_what_rounding_makes_of_them() -> (
    None
):
    """With two classes these are 1 and -1, whatever their distance."""
    alike, apart = torch.tensor([[300.0, 300.0001]]), torch.tensor([[300.0, 310.0]])
    looser = exporter.conditioned(alike, apart)
    assert exporter.same(joint(alike.flip(1), apart), joint(alike, apart), apart, looser)
    assert not exporter.same(
        joint(apart.flip(1), apart), joint(apart, apart), apart, exporter.conditioned(apart, apart)
    )


def boxed() -> Backprop:
    return Backprop(PIXELS, WIDTHS, CLASSES, boxes={1: BOXES["one_bit"](WIDTHS[0])})


def with_a_box() -> twofold.FeedForward:
    first, *others = dense(PIXELS + CLASSES, WIDTHS, None, seeded())
    return twofold.FeedForward([first, twofold.BlackBox(torch.tanh), *others], CLASSES)


def analog() -> twofold.FeedForward:
    net = twofold.FeedForward.dense(SHAPE, WIDTHS, CLASSES)
    twofold.Substrate(bits=6, full_scale=4.0).install(net.stack[0], seed=1)
    return net


@pytest.mark.parametrize(
    ("kind", "found"), [(with_a_box, "a black box"), (boxed, "a black box"), (analog, "weights on analog devices")]
)
def test_nets_with_hardware_are_refused_in_one_line(kind: Callable[[], Any], found: str, tmp_path: Path) -> None:
    said = refusal(lambda: written(kind(), tmp_path), SettingError)
    assert said.startswith(f"the net has {found}")
    assert "export a net that is trained without" in said
    assert not list(tmp_path.iterdir())


class Fourier(nn.Module):
    """Something that ONNX has no operator for."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.special.bessel_j0(images.flatten(1))


@pytest.mark.slow
def test_a_part_that_onnx_has_no_words_for_is_named_in_one_line(tmp_path: Path) -> None:
    layers = [twofold.CustomLayer(Fourier(), PIXELS + CLASSES), *dense(PIXELS + CLASSES, WIDTHS, None, seeded())]
    net = twofold.FeedForward(layers, CLASSES)
    said = refusal(lambda: written(net, tmp_path), SettingError)
    assert said.startswith("the net cannot be exported to ONNX")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_package_that_is_not_here_is_named_with_its_extra(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    said = refusal(lambda: written(NETS["backprop"](), tmp_path), SettingError)
    assert said == f"an export to ONNX needs {package}, which is not installed: pip install 'twofold[export]'"


def test_what_cannot_be_exported_is_said_in_one_line(tmp_path: Path) -> None:
    for name, words in (("net.pt", "unsupported suffix '.pt'"), ("net", "unsupported suffix ''")):
        assert words in refusal(lambda name=name: twofold.export(tmp_path / "run", tmp_path / name), SettingError)
    assert "not a run folder" in refusal(lambda: twofold.export(tmp_path / "none", tmp_path / "net.onnx"), RunError)
    shape = replace(PREPARATION, shape=(1, 9, 9))
    assert "81 numbers per image" in refusal(lambda: written(NETS["backprop"](), tmp_path, shape), TwofoldError)
    assert not list(tmp_path.iterdir())


def test_a_net_of_another_kind_says_that_it_has_no_tests_to_export() -> None:
    said = refusal(lambda: Net._traced(NETS["backprop"](), torch.rand(1, 1, 8, 8)), SettingError)
    assert said.startswith("a net of the method backprop cannot be exported")
