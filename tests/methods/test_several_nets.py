"""A family of two nets that learn together, in this one file: one checkpoint, one file of weights, one result.

A generator of vectors and a discriminator, which learns by itself what is data and what is generated. How well the
generator does is not the question; that every command and every resume works on a pair as on a single net is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pytest
import torch
from torch import Tensor, nn

import twofold
from support.helpers import refusal
from support.runs import CtrlC, train
from twofold.cli.main import main
from twofold.errors import RunError, SettingError
from twofold.layers.dense import Dense, dense
from twofold.layers.layer import FeedForwardLayer
from twofold.methods import METHODS, Method, Recipe, StoreLayers
from twofold.methods.method import Form
from twofold.methods.recipe import setting
from twofold.nets.net import Evaluation, Net, Nets
from twofold.normalize import normalize
from twofold.recipes import RECIPES


class Judge(Net):
    """Layers that like data and dislike what is generated."""

    method = "pair"

    def __init__(self, layers: Iterable[FeedForwardLayer]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    @torch.no_grad()
    def goodness(self, rows: Tensor) -> Tensor:
        below, total = normalize(rows), torch.zeros(len(rows))
        for layer in self.stack:
            seen = layer.respond(below)
            below, total = seen.output, total + seen.goodness.float()
        return total

    def evaluate(self, *data: Tensor, shortlist: int = 3) -> Evaluation:
        raise NotImplementedError

    def explain(self, case: Tensor) -> dict[str, Any]:
        return {"goodness": self.goodness(case).tolist()}


class Maker(Net):
    """One layer that makes vectors of noise, by a rule of its own."""

    method = "pair"

    def __init__(self, noise: int, units: int, generator: torch.Generator) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Dense(noise, units, generator=generator)])

    def make(self, noise: Tensor) -> Tensor:
        activity: Tensor = self.stack[0](noise)
        return activity

    def evaluate(self, *data: Tensor, shortlist: int = 3) -> Evaluation:
        raise NotImplementedError

    def explain(self, case: Tensor) -> dict[str, Any]:
        raise NotImplementedError


class Pair(Nets):
    """Tested together: how often a generated vector has more goodness than a case of the data."""

    method = "pair"

    def evaluate(self, *data: Tensor, shortlist: int = 3) -> Evaluation:
        judge: Any = self.main
        maker: Any = self.nets["maker"]
        noise = torch.rand(len(data[0]), maker.stack[0].inputs, generator=torch.Generator().manual_seed(0))
        fooled = judge.goodness(maker.make(noise)) > judge.goodness(data[0].flatten(1))
        return Evaluation({"fooled": fooled.float().mean().item()})


@dataclass(frozen=True, kw_only=True)
class PairRecipe(Recipe):
    """Data against what a second net makes."""

    method: ClassVar[str] = "pair"

    noise: int = setting(6, least=1, of_net=True)
    """Numbers of noise that the second net makes a vector of."""


class Step(NamedTuple):
    difficulty: Tensor


class Pairs(Method[PairRecipe, Pair]):
    """Both nets in turns."""

    recipe_type = PairRecipe

    @classmethod
    def build(cls, recipe: PairRecipe, form: Form, store: StoreLayers = list) -> Pair:
        generator, inputs = torch.Generator().manual_seed(recipe.seed), form["shape"][-1] * form["shape"][-2]
        judge = Judge(store(dense(inputs, recipe.widths, None, generator)))
        return Pair(judge=judge, maker=Maker(recipe.noise, inputs, generator))

    @classmethod
    def needed_memory(cls, recipe: PairRecipe, form: Form, precision: str, offload: bool) -> int:
        return 1000

    def batch(self, cases: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        images, _ = self.data.take(cases)
        return images.flatten(1), weight

    def step(self, batch: tuple[Tensor, Tensor], progress: float) -> Step:
        rows, weight = batch
        self.set_rate(progress)
        judge: Any = self.net.nets["judge"]
        maker: Any = self.net.nets["maker"]
        noise = torch.rand(len(rows), self.recipe.noise, generator=self.generator)
        positive, negative = normalize(rows), normalize(maker.make(noise))
        difficulty = torch.zeros(len(rows))
        for layer in judge.stack:
            positive, negative, _, signal = layer.learn(positive, negative, self.rate, weight)
            difficulty = torch.maximum(difficulty, signal)
        maker.stack[0].learn(normalize(noise), normalize(noise.flip(0)), self.rate, weight)
        return Step(difficulty)


RECIPE = PairRecipe(data="digits", widths=(30, 20), epochs=3, rate=0.05, tolerance=0.3, revisit=0.2)


@pytest.fixture(autouse=True)
def _the_family_moves_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "pair", Pairs)
    monkeypatch.setitem(RECIPES, "pair", RECIPE)


def test_both_nets_learn_and_are_in_one_file_with_one_result(digits: twofold.Dataset, tmp_path: Path) -> None:
    result = train(RECIPE, tmp_path / "run", digits)
    run = twofold.load(tmp_path / "run", "cpu")
    assert set(result.test_error) == {"fooled"}
    assert result.test_error["fooled"] < 0.1
    assert result.parameters == sum(each.numel() for each in run.net.parameters())
    fresh = Pairs.build(RECIPE, digits.form)
    assert {name.split(".")[1] for name in fresh.state_dict()} == {"judge", "maker"}
    for name, tensor in fresh.state_dict().items():
        assert not torch.equal(tensor, run.net.state_dict()[name]), name
    assert twofold.evaluate(run.net, *digits.test).error == result.test_error
    assert run.net.widths == (30, 20)
    assert len(run.net.stack) == 3


def test_an_interrupted_training_of_a_pair_ends_bitwise_as_one_that_was_not(
    digits: twofold.Dataset, tmp_path: Path
) -> None:
    train(RECIPE, tmp_path / "whole", digits)
    with pytest.raises(KeyboardInterrupt):
        train(RECIPE, tmp_path / "parts", digits, progress=CtrlC(2))
    train(RECIPE, tmp_path / "parts", digits, resume=True)
    whole, parts = ((tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "parts"))
    assert whole == parts


def test_precision_and_finiteness_are_those_of_all_nets(digits: twofold.Dataset, tmp_path: Path) -> None:
    pair = Pairs.build(RECIPE, digits.form)
    pair.set_precision("bf16")
    assert {layer.compute for layer in pair.stack} == {torch.bfloat16}
    train(RECIPE, tmp_path / "run", digits)
    net = twofold.load(tmp_path / "run", "cpu").net
    net.nets["maker"].stack[0].weight[0, 0] = torch.nan
    said = refusal(lambda: twofold.evaluate(net, *digits.test), twofold.Diverged)
    assert said.startswith("nets.maker.layers.0.weight of this net has NaN")


def test_a_pair_that_names_no_classes_predicts_nothing(
    digits: twofold.Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(RECIPE, tmp_path / "run", digits)
    assert main(["predict", str(tmp_path / "run"), "picture.png"]) == 1
    assert "is a net of the method pair, which is not a classifier" in capsys.readouterr().err


def test_mistakes_are_told_in_one_line(digits: twofold.Dataset, tmp_path: Path) -> None:
    assert "nets is empty" in refusal(Pair, SettingError)
    train(RECIPE, tmp_path / "run", digits)
    other = replace(RECIPE, noise=7)
    said = refusal(lambda: train(other, tmp_path / "run", digits, resume=True), RunError)
    assert "noise = 6, not 7" in said
