"""The laboratory that experiments train in, which trains each net only once, and the finding that they return."""

from __future__ import annotations

import hashlib
import json
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch

from twofold import checkpoint, data, defaults, machine
from twofold.data import Dataset
from twofold.errors import unknown
from twofold.methods import BackpropRecipe, FeedForwardRecipe, Recipe, RecurrentRecipe
from twofold.nets.net import Evaluation, Net, evaluate
from twofold.recipes import mnist_jitter, mnist_paper, mnist_wide
from twofold.recipes.digits import digits
from twofold.recipes.digits import twin as digits_twin
from twofold.recipes.mnist import mnist
from twofold.recipes.mnist import twin as mnist_twin
from twofold.recipes.recurrent import recurrent
from twofold.recipes.recurrent import twin as recurrent_twin
from twofold.training.runs import Run, load
from twofold.training.train import Progress, train

SIZES = ("smoke", "full")
RUNS = Path("runs/claims")

FEEDFORWARD = {
    "mnist": (mnist, mnist_twin),
    "mnist-paper": (mnist_paper.mnist_paper, mnist_twin),
    "mnist-paper-wide": (mnist_paper.wide, mnist_wide.twin),
    "mnist-jitter": (mnist_jitter.mnist_jitter, mnist_jitter.twin),
    "mnist-wide": (mnist_wide.mnist_wide, mnist_wide.twin),
}
"""Recipes of feedforward nets for figures on the test set, and their twins."""

small = replace(digits, widths=(100, 100, 100), epochs=15, rate=0.03, temperature=5.0)
small_twin = replace(digits_twin, widths=small.widths, epochs=10)

small_recurrent = replace(
    recurrent, data="digits", widths=(100, 100), epochs=8, batch=40, rate=0.06, temperature=20.0, tolerance=0.0
)
small_recurrent_twin = replace(digits_twin, widths=small_recurrent.widths, epochs=10)

TWINS_LATER = {"readout", "box", "box_drift", "gradient", "substrate", "device_seed", "derivative"}
"""Fields of a twin's recipe that were added after trainings of plain twins were kept."""

T = TypeVar("T")
N = TypeVar("N", bound=Net)
Watch = Callable[[str, int], AbstractContextManager[Progress]]
"""Makes the progress display of one training from its title and number of epochs, like `twofold.cli.progress.Bar`."""


@dataclass(frozen=True)
class Finding:
    """The result of an experiment. Errors are in percent of the images wherever a name ends in ``%``, times in seconds.

    Attributes:
        holds: whether the rule is met.
        rule: what must be true of the measured figures for the claim to hold, in words.
        talk: the claimed figures.
        measured: the measured figures.
        twin: the figures of the backprop twin, a net with the same hidden layers.
        seeds: seeds of the trainings.
    """

    holds: bool
    rule: str
    talk: dict[str, Any] | str
    measured: dict[str, Any]
    twin: dict[str, Any]
    seeds: list[int]


class TrainedNet(NamedTuple):
    """A net that an experiment trained with code of its own.

    Attributes:
        dataset: that it learned from.
        seconds: of the training.
        settings: everything that determines what it learned.
        commit: of the code that trained it; ``None`` if that is not known.
    """

    dataset: Dataset
    seconds: float
    settings: Mapping[str, Any]
    commit: str | None


@dataclass
class Lab:
    """A place where experiments train nets.

    Trainings are kept, shared between experiments, and resumed if they were interrupted.

    Attributes:
        size: smoke (seconds, on the embedded digits) or full (MNIST, with the recipes).
        runs: folder of the run folders.
        device: auto, cpu or cuda.
        precision: auto, fp32 or bf16.
        data_dir: folder in which data files are looked for first.
        progress: makes the progress display of each training; ``None`` shows nothing.
        used: the runs that experiments have asked for so far, each once.
        trained_nets: the nets that experiments have trained with code of their own.
    """

    size: str = "smoke"
    runs: Path = RUNS
    device: str = "auto"
    precision: str = "auto"
    data_dir: Path | None = None
    progress: Watch | None = None
    used: dict[Path, Run] = field(default_factory=dict)
    trained_nets: dict[Path, TrainedNet] = field(default_factory=dict)
    _data: dict[str, Dataset] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise unknown("size", self.size, SIZES)

    def pick(self, *, smoke: T, full: T) -> T:
        """Return the value for this size."""
        return smoke if self.size == "smoke" else full

    # ---- settings ----------------------------------------------------------------------------------------------

    @property
    def seeds(self) -> list[int]:
        """The seeds of the experiments that report a mean and a standard deviation."""
        return self.pick(smoke=[0, 1], full=[0, 1, 2])

    def recipe(self, name: str = "mnist") -> tuple[str, FeedForwardRecipe, str, BackpropRecipe]:
        """Return the recipe ``name`` and its twin, each preceded by its name, for figures on the test set.

        At smoke size, small nets on the embedded digits take their place.
        """
        if self.size == "smoke":
            return "digits-small", small, "digits-small-twin", small_twin
        recipe, twin = FEEDFORWARD[name]
        return name, recipe, f"{name}-twin", twin

    def short(self) -> tuple[FeedForwardRecipe, BackpropRecipe]:
        """Return settings for comparisons: a smaller net, fewer epochs, tested on training images that are held out.

        Goodness grows with the number of units of a layer, so the temperature is scaled with it.
        """
        if self.size == "smoke":
            return replace(small, validation=300), replace(small_twin, validation=300)
        narrow = replace(mnist, widths=(500, 500, 500), temperature=mnist.temperature / 2, epochs=8, validation=10_000)
        return narrow, replace(mnist_twin, widths=narrow.widths, epochs=8, validation=10_000)

    def settling(self) -> tuple[str, RecurrentRecipe, str, BackpropRecipe]:
        """Return the recurrent recipe and its twin, each preceded by its name, for figures on the test set.

        At smoke size, small nets on the embedded digits take their place.
        """
        if self.size == "smoke":
            return "recurrent-small", small_recurrent, "recurrent-small-twin", small_recurrent_twin
        return "recurrent", recurrent, "recurrent-twin", recurrent_twin

    def short_settling(self) -> tuple[RecurrentRecipe, BackpropRecipe]:
        """Return recurrent settings for comparisons: half the units, fewer epochs, tests on held-out images."""
        if self.size == "smoke":
            return replace(small_recurrent, validation=300), replace(small_recurrent_twin, validation=300)
        widths = tuple(units // 2 for units in recurrent.widths)
        halved = replace(recurrent, widths=widths, temperature=recurrent.temperature / 2, epochs=10, validation=10_000)
        return halved, replace(recurrent_twin, widths=widths, epochs=8, validation=10_000)

    # ---- work --------------------------------------------------------------------------------------------------

    def data(self, name: str) -> Dataset:
        """Return a data set by name; it is loaded only once."""
        if name not in self._data:
            self._data[name] = data.load(name, self.data_dir)
        return self._data[name]

    def train(self, recipe: Recipe, name: str, dataset: Dataset | None = None) -> Run:
        """Return the complete run of a recipe: read it if it exists, else train it, from where it was interrupted.

        Its folder is named after ``name``, the seed and a hash of all settings, data, device, precision and learning
        version, so that experiments that ask for the same training share it.

        Args:
            recipe: the settings.
            name: name of the run.
            dataset: used in place of the data set that the recipe names.
        """
        recipe = recipe if dataset is None else replace(recipe, data=dataset.name)
        dataset = dataset or self.data(recipe.data)
        where = machine.choose_device(self.device)
        precision = machine.choose_precision(self.precision, where)
        identity = [recipe.method, _as_kept(recipe.fields()), dataset.fingerprint]
        digest = _digest([*identity, where.type, precision, defaults.LEARNING_VERSION])
        folder = self.runs / f"{name}-seed{recipe.seed}-{digest}"
        if not (folder / "result.json").exists():
            face = self.progress(f"{name} seed {recipe.seed}", recipe.epochs) if self.progress else nullcontext(None)
            with face as told:
                train(
                    recipe,
                    folder,
                    dataset,
                    name=name,
                    device=self.device,
                    precision=precision,
                    resume=True,
                    progress=told,
                )
        self.used[folder] = load(folder, self.device)
        return self.used[folder]

    def train_net(
        self, net: N, name: str, dataset: Dataset, settings: Mapping[str, Any], learn: Callable[[N], None]
    ) -> N:
        """Train a net with an experiment's own code, or load its weights if they are kept from an earlier call.

        Args:
            net: the untrained net; it is moved to the device, with products in the laboratory's precision.
            name: name of its file, which ends in a hash of settings, data, device, precision and learning version.
            dataset: the data that it learns from.
            settings: everything that determines what it learns, as values that JSON can hold.
            learn: trains the net.
        """
        where = machine.choose_device(self.device)
        precision = machine.choose_precision(self.precision, where)
        identity = [_as_kept(settings), dataset.fingerprint]
        digest = _digest([*identity, where.type, precision, defaults.LEARNING_VERSION])
        path = self.runs / f"{name}-{digest}.safetensors"
        net.to(where)
        net.set_precision(precision)
        if path.exists():
            tensors, facts = checkpoint.read(path)
            checkpoint.fill(net.state_dict(), tensors, path)
        else:
            start = time.perf_counter()
            learn(net)
            facts = {"seconds": time.perf_counter() - start, "commit": machine.describe(where)["commit"]}
            checkpoint.write(path, net.state_dict(), facts)
        told = json.loads(json.dumps(dict(settings)))  # as a record holds them, which knows no tuples
        self.trained_nets[path] = TrainedNet(dataset, float(facts["seconds"]), told, facts.get("commit"))
        return net

    def test_set(self, run: Run, dataset: Dataset | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the images and labels that a run was tested on, on its net's device."""
        dataset = dataset or self.data(run.recipe.data)
        dataset = dataset.hold_out(run.recipe.validation) if run.recipe.validation else dataset
        return dataset.test_images.to(run.net.device), dataset.test_labels.to(run.net.device)

    def test(self, run: Run, dataset: Dataset | None = None, shortlist: int = 3) -> Evaluation:
        """Evaluate a run with all its tests on the images that it was not trained on."""
        return evaluate(run.net, *self.test_set(run, dataset), shortlist=shortlist)

    def seconds(self) -> float:
        """Return the seconds of all trainings asked for, including those that had been done before."""
        alone = sum(net.seconds for net in self.trained_nets.values())
        return alone + sum(run.result.seconds for run in self.used.values())

    def sources(self) -> dict[str, bool]:
        """Return the names of the data sets that were learned from, and whether each is the official one."""
        found = {run.result.dataset: run.result.official_data for run in self.used.values()}
        return found | {net.dataset.name: net.dataset.official for net in self.trained_nets.values()}

    def fingerprints(self) -> dict[str, list[str]]:
        """Return the names of the data sets that were learned from, and the fingerprints of all that had the name.

        A part of a data set may have the name of the whole.
        """
        found: dict[str, set[str]] = {}
        for run in self.used.values():
            found.setdefault(run.result.dataset, set()).add(run.result.fingerprint)
        for net in self.trained_nets.values():
            found.setdefault(net.dataset.name, set()).add(net.dataset.fingerprint)
        return {name: sorted(each) for name, each in found.items()}

    def commits(self) -> dict[str, str | None]:
        """Return the names of all trainings, and the commits of the code that made each; ``None``: not known."""
        found = {path.name: _commits(run.result.environment) for path, run in self.used.items()}
        return found | {path.stem: net.commit for path, net in self.trained_nets.items()}

    def settings(self) -> list[dict[str, Any]]:
        """Return the settings of all trainings, in groups of those that have the same fields.

        Each group has ``shared``, what all of its trainings have in common, and ``own``, the rest of each by its name.
        """
        every = {path.name: {"method": run.recipe.method, **run.recipe.fields()} for path, run in self.used.items()}
        every |= {path.stem: dict(net.settings) for path, net in self.trained_nets.items()}
        groups: dict[tuple[str, ...], dict[str, dict[str, Any]]] = {}
        for name, settings in every.items():
            groups.setdefault(tuple(sorted(settings)), {})[name] = settings
        return [_in_common(group) for group in groups.values()]


def _commits(environment: Mapping[str, Any]) -> str | None:
    """The commits of the code that made the parts of a training; ``None`` if one is not known."""
    parts = [*environment.get("earlier", []), environment]
    found = dict.fromkeys(part.get("commit") for part in parts)
    return None if None in found else ", ".join(map(str, found))


def _in_common(group: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Split the settings of trainings into what all have in common and the rest of each."""
    first = next(iter(group.values()))
    shared = {key: value for key, value in first.items() if all(each[key] == value for each in group.values())}
    own = {name: {key: each[key] for key in each if key not in shared} for name, each in group.items()}
    return {"shared": shared, "own": own}


def _as_kept(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without the schedule, and those of a plain twin without boxes and devices: what all recipes had before
    these had names, so that kept trainings are found."""
    added = BackpropRecipe.fields_with("added")
    neutral = {name: added[name] for name in ("schedule", *(TWINS_LATER if settings.keys() >= TWINS_LATER else ()))}
    kept = {key: value for key, value in settings.items() if key not in neutral or value != neutral[key]}
    return {key: _as_kept(value) if isinstance(value, Mapping) else value for key, value in kept.items()}


def _digest(identity: list[Any]) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]


def percent(share: float) -> float:
    """Convert a fraction to a percentage, rounded to a thousandth of a point."""
    return round(100 * share, 3)


def errors(run: Run) -> dict[str, float]:
    """Return the error of every test of a run in percent, on the test set or on the held-out images."""
    return {f"{test} error %": percent(share) for test, share in run.result.error.items()}


def error(run: Run) -> float:
    """Return the error of a run's main test in percent: the slow test, or the only test of a twin."""
    return next(iter(errors(run).values()))


def mean_and_std(values: Iterable[float]) -> dict[str, float]:
    """Return mean and sample standard deviation (0 for a single value), rounded to a thousandth."""
    kept = list(values)
    spread = statistics.stdev(kept) if len(kept) > 1 else 0.0
    return {"mean": round(statistics.fmean(kept), 3), "std": round(spread, 3)}


def mean_errors(runs: Iterable[Run]) -> dict[str, dict[str, float]]:
    """Return the mean and standard deviation over runs of the error of every test."""
    each = [errors(run) for run in runs]
    return {test: mean_and_std(one[test] for one in each) for test in each[0]}


def reached(run: Run, target: float) -> dict[str, float | int | None]:
    """Return the epochs, visits and seconds after which the error on held-out images was first at most ``target``.

    The error, a fraction, is that of the slow test, or of the only test of a twin. Visits are the number of images seen
    divided by the number of training images, since an epoch leaves out images that teach nothing. All three are
    ``None`` if the error never got there.
    """
    seconds = visits = 0.0
    for metrics in run.history:
        seconds += metrics["seconds"]
        visits += metrics["visits"]
        if next(iter(metrics["validation_error"].values())) <= target:
            return {"epochs": metrics["epoch"], "visits": round(visits, 3), "seconds": round(seconds, 3)}
    return {"epochs": None, "visits": None, "seconds": None}
