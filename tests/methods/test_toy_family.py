"""A family of nets that twofold has never heard of, in this one file: data, net, recipe, method and three entries.

Rows of numbers with a real-valued target: no image, no label, no class. Oracle: everything that the command line does
with a run works on it, with no word of it anywhere else. Were one of these to fail, a new idea would have to be built
into a dozen places before it could be tried.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import twofold
from support.helpers import refusal
from twofold.cli.main import main
from twofold.cli.progress import Bar
from twofold.data import DATASETS, Data
from twofold.errors import Diverged, SettingError
from twofold.layers.dense import dense
from twofold.layers.layer import FeedForwardLayer
from twofold.learning import Rule
from twofold.methods import METHODS, Method, Recipe, StoreLayers
from twofold.methods.method import Form, Names
from twofold.methods.recipe import setting
from twofold.nets.net import Evaluation, Net
from twofold.normalize import normalize
from twofold.recipes import RECIPES
from twofold.training.trainer import History

# The family ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Table:
    """Rows ``(cases, numbers)`` and a target ``(cases,)`` from 0 to 1 for each."""

    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    name: str = "table"
    official: bool = False

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(b"".join(part.numpy().tobytes() for part in (*self.train, *self.test))).hexdigest()

    @property
    def form(self) -> dict[str, Any]:
        return {"numbers": self.train[0].shape[1]}

    def hold_out(self, count: int) -> Self:
        rows, targets = self.train
        return replace(self, train=(rows[:-count], targets[:-count]), test=(rows[-count:], targets[-count:]))


def a_table() -> Table:
    rows = torch.randn(320, 4, generator=torch.Generator().manual_seed(0))
    targets = torch.sigmoid(2 * rows[:, 0] - rows[:, 1])
    return Table((rows[:240], targets[:240]), (rows[240:], targets[240:]))


class Guesser(Net):
    """Layers that like a row with its target better than with another one. Of all candidates it names the one that
    they like best."""

    method = "toy"
    candidates: Tensor

    def __init__(self, layers: Iterable[FeedForwardLayer], candidates: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.register_buffer("candidates", torch.linspace(0, 1, candidates))

    def input(self, rows: Tensor, targets: Tensor) -> Tensor:
        """A row beside its target, which is a bump among the candidates."""
        bump = (-(20 * (targets[:, None] - self.candidates).square())).exp()
        return normalize(torch.cat([rows, 2 * bump], 1))

    @torch.no_grad()
    def learn(self, rows: Tensor, right: Tensor, wrong: Tensor, rate: float, weight: Tensor) -> Tensor:
        positive, negative, difficulty = self.input(rows, right), self.input(rows, wrong), torch.zeros_like(weight)
        for layer in self.stack:
            positive, negative, _, taught = layer.learn(positive, negative, rate, weight)
            difficulty = torch.maximum(difficulty, taught.to(difficulty.dtype))
        return difficulty

    @torch.no_grad()
    def goodness(self, rows: Tensor) -> Tensor:
        """Of each candidate, ``(rows, candidates)``."""
        found = []
        for candidate in self.candidates:
            below, total = self.input(rows, candidate.expand(len(rows))), torch.zeros(len(rows))
            for layer in self.stack:
                seen = layer.respond(below)
                below, total = seen.output, total + seen.goodness.float()
            found.append(total)
        return torch.stack(found, 1)

    def evaluate(self, *data: Tensor, shortlist: int = 3) -> Evaluation:
        rows, targets = data
        distance = self.candidates[self.goodness(rows).argmax(1)] - targets
        unexplained = distance.square().mean() / (targets - targets.mean()).square().mean()
        return Evaluation({"liked best": unexplained.item()}, {"mean_distance": distance.abs().mean().item()})

    def explain(self, case: Tensor) -> dict[str, Any]:
        return {"target": float(self.candidates[self.goodness(case).argmax()])}


@dataclass(frozen=True, kw_only=True)
class ToyRecipe(Recipe):
    """Rows with the right target against rows with a wrong one."""

    method: ClassVar[str] = "toy"

    apart: float = setting(0.2, above=0, most=0.5)
    """Smallest distance of a wrong target from the right one."""
    candidates: int = setting(12, least=2, of_net=True)
    """Targets that the net can name."""


class Taught(NamedTuple):
    difficulty: Tensor


class Toy(Method[ToyRecipe, Guesser]):
    """Every layer raises its goodness for rows with their targets and lowers it for rows with wrong ones."""

    recipe_type = ToyRecipe
    offloads = True

    @classmethod
    def build(cls, recipe: ToyRecipe, form: Form, store: StoreLayers = list) -> Guesser:
        if "numbers" not in form:
            raise SettingError("the toy learns from tables: choose --data table")
        rule = Rule(smoothing=recipe.smoothing, decay=recipe.decay, tolerance=recipe.tolerance)
        generator = torch.Generator().manual_seed(recipe.seed)
        layers = dense(form["numbers"] + recipe.candidates, recipe.widths, rule, generator)
        return Guesser(store(layers), recipe.candidates)

    @classmethod
    def needed_memory(cls, recipe: ToyRecipe, form: Form, precision: str, offload: bool) -> int:
        return 100 * max(recipe.widths) ** 2

    @classmethod
    def draw(
        cls, net: Guesser, recipe: ToyRecipe, data: tuple[Tensor, ...], folder: Path, names: Names = ()
    ) -> list[Path]:
        path = folder / "goodness of candidates.png"
        liked = net.goodness(data[0][:40])
        Image.fromarray((255 * liked / liked.max()).byte().numpy()).save(path)
        return [path]

    def batch(self, cases: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
        return *self.data.take(cases), weight

    def step(self, batch: tuple[Tensor, ...], progress: float) -> Taught:
        rows, right, weight = batch
        self.set_rate(progress)
        away = torch.rand(len(right), generator=self.generator) * (1 - 2 * self.recipe.apart) + self.recipe.apart
        difficulty = self.net.learn(rows, right, (right + away) % 1, self.rate, weight)
        self.taught = difficulty.mean().item()
        return Taught(difficulty)

    def check(self) -> None:
        if not all(layer.weight.isfinite().all() for layer in self.net.stack):
            raise Diverged(f"a weight is not a finite number any more: lower --rate (it is {self.recipe.rate:g})")

    def metrics(self) -> dict[str, Any]:
        return {**super().metrics(), "taught": self.taught}


TOY = ToyRecipe(data="table", widths=(40, 30), epochs=30, batch=20, rate=0.05, tolerance=0.3, revisit=0.2)


@pytest.fixture(autouse=True)
def _the_family_moves_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(METHODS, "toy", Toy)
    monkeypatch.setitem(RECIPES, "toy", TOY)
    monkeypatch.setitem(DATASETS, "table", lambda data_dir, download: a_table())
    monkeypatch.chdir(tmp_path)


# The command line and the library on this family --------------------------------------------------------------------

WORDS = ["train", "toy", "--epochs", "4", "--device", "cpu", "--precision", "fp32"]


def answer(*words: str) -> str:
    """All that a command prints which succeeds."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        assert main(list(words)) == 0, out.getvalue()
    return out.getvalue()


def facts(*words: str) -> Any:
    return json.loads(answer(*words, "--json").splitlines()[-1])


def told(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line with which a command is refused."""
    assert main(list(words)) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err


def test_it_trains_is_reported_and_leaves_a_run_folder_like_any_other() -> None:
    said = answer(*WORDS, "--apart", "0.3", "--run", "run")
    assert "toy 4/4" in said
    assert "taught 0." in said
    assert "toy: 40 x 30, table (not the official files), seed 0, fp32 on cpu" in said
    result = twofold.load("run").result
    assert f"{100 * result.error['liked best']:.2f} %" in said
    assert (result.method, result.dataset, result.fingerprint) == ("toy", "table", a_table().fingerprint)
    assert result.settings == replace(TOY, epochs=4, apart=0.3).fields()
    assert result.metrics.keys() == {"mean_distance"}
    assert json.loads(Path("run/config.json").read_text())["numbers"] == 4
    assert {path.name for path in Path("run").iterdir()} == {
        *("config.json", "metrics.jsonl", "weights.safetensors", "result.json", "pictures")
    }


@pytest.mark.usefixtures("progress_at_every_batch")
@pytest.mark.parametrize("moment", [0.5, 2, 2.5])
def test_an_interrupted_training_of_it_ends_bitwise_as_one_that_was_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], moment: float
) -> None:
    answer(*WORDS, "--run", "whole", "--no-pictures")

    def stop(bar: Bar, done: float) -> None:
        if done >= moment:
            raise KeyboardInterrupt

    with monkeypatch.context() as interrupted:
        interrupted.setattr(Bar, "batch", stop)
        assert main([*WORDS, "--run", "parts", "--no-pictures"]) == 130
    assert ("--resume" if moment >= 1 else "start again") in capsys.readouterr().err
    assert Path("parts/checkpoint.safetensors").exists() == (moment >= 1)
    answer(*WORDS, "--run", "parts", "--no-pictures", "--resume")
    assert Path("parts/weights.safetensors").read_bytes() == Path("whole/weights.safetensors").read_bytes()
    histories = [twofold.load(name).history for name in ("whole", "parts")]
    for whole, parts in zip(*histories, strict=True):
        assert {**whole, "seconds": 0} == {**parts, "seconds": 0}
    assert min(metrics["visits"] for metrics in histories[0]) < 1, "this case is to leave out some rows"


def test_a_trained_one_is_tested_drawn_and_refuses_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    error = facts(*WORDS, "--run", "run", "--no-pictures")["test_error"]
    found = facts("eval", "run", "--test", "liked best")
    assert found["test_error"] == error
    assert found["mean_distance"] == twofold.load("run").result.metrics["mean_distance"]
    assert f"{100 * error['liked best']:.2f} %" in answer("eval", "run")
    assert "expected one of the tests of run: liked best, all" in told(capsys, "eval", "run", "--test", "slow")
    drawn = facts("plot", "run")["pictures"]
    assert drawn == ["run/pictures/learning.png", "run/pictures/goodness of candidates.png"]
    for path in drawn:
        with Image.open(path) as picture:
            picture.verify()
    said = told(capsys, "predict", "run", drawn[0])
    assert "run was trained on table, which are not labeled images: give another run" in said


def test_help_names_it_and_its_own_fields() -> None:
    for said in (answer("--help"), answer("train", "--help")):
        assert "toy                      table, layers of 40 x 30, 30 epochs" in said
    assert "table" in answer("--help").split("twofold data get NAME")[1]
    said = " ".join(answer("train", "toy", "--help").replace("│", " ").split())
    assert "--apart FLOAT Smallest distance of a wrong target from the right one. (default: 0.2)" in said
    assert "--candidates INT" in said
    assert "--jitter" not in said


def test_its_mistakes_are_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--apart is 0.7, expected at most 0.5" in told(capsys, "train", "toy", "--apart", "0.7")
    assert "unknown field '--aparts': did you mean '--apart'?" in told(capsys, "train", "toy", "--aparts", "0.1")
    assert "lower --rate (it is 1e+30)" in told(capsys, *WORDS, "--rate", "1e30", "--decay", "0")
    assert "--decay is 100, expected less than 20 with --rate 0.05" in told(capsys, *WORDS, "--decay", "100")
    assert "the toy learns from tables" in told(capsys, "train", "toy", "--data", "digits")
    assert "the data have numbers, expected shape and classes" in told(capsys, "train", "digits", "--data", "table")
    assert "--batch is 300, more than the 240 training cases" in told(capsys, "train", "toy", "--batch", "300")


def test_rows_held_out_are_tested_after_each_epoch_and_the_others_trained_on() -> None:
    found = facts(*WORDS, "--validation", "40", "--run", "run", "--no-pictures")
    assert (found["test_error"], found["validation_error"].keys()) == ({}, {"liked best"})
    history = twofold.load("run").history
    assert history[-1]["validation_error"] == found["validation_error"]
    assert "validation_error" in facts("eval", "run")


def test_its_layers_rest_on_disk_where_it_says_that_they_can() -> None:
    for name, words in (("memory", []), ("disk", ["--offload"])):
        answer(*WORDS, "--run", name, "--no-pictures", *words)
    assert Path("disk/weights.safetensors").read_bytes() == Path("memory/weights.safetensors").read_bytes()


def test_its_data_are_found_and_described() -> None:
    found = facts("data", "get", "table")
    assert (found["dataset"], found["train"], found["test"], found["numbers"]) == ("table", 240, 80, 4)
    data: Data = a_table()
    assert found["fingerprint"] == data.fingerprint


@pytest.mark.parametrize("precision", ["fp32", "auto"])
def test_what_it_learns_is_what_the_targets_are(tmp_path: Path, precision: str) -> None:
    """Guessing the mean leaves all of the variance unexplained."""
    result = twofold.train(TOY, tmp_path / "run", a_table(), device="cpu", precision=precision)
    assert result.error["liked best"] < 0.25
    loaded = twofold.load(tmp_path / "run", "cpu")
    assert twofold.evaluate(loaded.net, *a_table().test).error == result.error
    rows, targets = a_table().test
    assert abs(loaded.net.explain(rows[:1])["target"] - targets[0]) < 0.3


def epochs_of(net: Guesser, **settings: Any) -> History:
    return twofold.fit(net, *a_table().train, **{"epochs": 2, **settings})


def test_it_is_fitted_without_a_recipe_and_its_own_setting_arrives() -> None:
    nets = [Toy.build(TOY, a_table().form) for _ in range(4)]
    of_training = {name: value for name, value in asdict(TOY).items() if name not in TOY.fields_with("of_net")}
    for net, settings in zip(nets, ({}, {"apart": 0.2}, {"apart": 0.4}, of_training), strict=True):
        assert "taught" in epochs_of(net, **settings).last
    plain, stated, other, whole = (net.stack[0].weight for net in nets)
    assert torch.equal(plain, stated)
    assert not torch.equal(plain, other)
    assert not torch.equal(plain, whole)
    assert "--apart is 2" in refusal(lambda: epochs_of(nets[0], apart=2), SettingError)
    assert "unknown setting 'jitter'" in refusal(lambda: epochs_of(nets[0], jitter=1), SettingError)
