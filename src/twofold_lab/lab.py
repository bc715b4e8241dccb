"""The laboratory: it trains the nets of experiments, each net only once, and collects the facts for their records."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from twofold import checkpoint, data, defaults, machine
from twofold.data import Dataset
from twofold.errors import unknown
from twofold.methods import BackpropRecipe, FeedForwardRecipe, Recipe
from twofold.nets.net import Evaluation, Net, evaluate
from twofold.training.runs import Run, load
from twofold.training.train import Progress, train
from twofold_lab.contest import Contender, Contest

SIZES = ("smoke", "full")
RUNS = Path("runs/claims")
ADDED = ("schedule", "input_start", "block_size")
"""Fields that were added to recipes after nets had been trained with these recipes; see `_identity`."""
LATER = {"readout", "box", "box_drift", "gradient", "substrate", "device_seed", "derivative"}
"""Fields that were added to the recipe of twins after nets had been trained with it; see `_identity`."""

T = TypeVar("T")
N = TypeVar("N", bound=Net)
Watch = Callable[[str, int], AbstractContextManager[Progress]]
"""Function: title of a run, number of epochs of the run -> progress display, which is a context manager like
`twofold.cli.progress.Bar`."""


@dataclass(frozen=True)
class Training:
    """Facts about one trained net, for records.

    Attributes:
        dataset: data that the net was trained and tested on.
        seconds: training time.
        settings: fields of the recipe, and everything else that determines the weights.
        commit: commits of the code that trained the net; ``None`` if unknown.
    """

    dataset: Dataset
    seconds: float
    settings: Mapping[str, Any]
    commit: str | None

    @property
    def tested_on(self) -> str:
        """Description of the test cases: ``test set`` or ``held-out training cases``."""
        return "held-out training cases" if self.settings.get("validation") else "test set"

    @property
    def cases(self) -> int:
        """Number of test cases."""
        return int(self.settings.get("validation") or len(self.dataset.test[0]))


@dataclass
class Lab:
    """Trains the nets of experiments. Trained nets are saved and shared, and interrupted training runs are resumed.

    Attributes:
        size: smoke (seconds, on the embedded digits) or full (minutes to hours, on MNIST).
        runs: folder of the saved training runs.
        device: auto, cpu or cuda.
        precision: auto, fp32 or bf16.
        data_dir: folder that is searched first for data sets.
        progress: function that makes the progress display of a training run; ``None`` for no display.
        trainings: facts about the nets that experiments have requested, by name of the run.
        tunings: settings that were chosen on held-out cases, see `twofold_lab.contest.tune`.
    """

    size: str = "smoke"
    runs: Path = RUNS
    device: str = "auto"
    precision: str = "auto"
    data_dir: Path | None = None
    progress: Watch | None = None
    trainings: dict[str, Training] = field(default_factory=dict)
    tunings: dict[str, dict[str, Any]] = field(default_factory=dict)
    _data: dict[str, Dataset] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise unknown("size", self.size, SIZES)

    def pick(self, *, smoke: T, full: T) -> T:
        """Return the argument that belongs to the size of the laboratory."""
        return smoke if self.size == "smoke" else full

    @property
    def seeds(self) -> list[int]:
        """Seeds of experiments that report a mean and a standard deviation."""
        return self.pick(smoke=[0, 1], full=[0, 1, 2])

    # ---- data ------------------------------------------------------------------------------------------------------

    def data(self, name: str) -> Dataset:
        """Return a data set by name, such as ``mnist``, or with its first training cases only: ``mnist[:10000]``.

        Each data set is loaded only once.

        Raises:
            SettingError: the name is unknown, or the data set has fewer training cases than requested.
        """
        if name not in self._data:
            source, _, count = name.removesuffix("]").partition("[:")
            self._data[name] = self.data(source).take(int(count)) if count else data.load(source, self.data_dir)
        return self._data[name]

    def sized(self, full: str, smoke: str = "digits") -> Dataset:
        """Return the data set for the size of the laboratory; see `data` for the names."""
        return self.data(self.pick(smoke=smoke, full=full))

    # ---- training runs ---------------------------------------------------------------------------------------------

    def contest(
        self,
        contenders: Mapping[str, Contender | Mapping[str, Any]],
        of: tuple[Recipe, Recipe],
        dataset: Dataset | None = None,
        seeds: Sequence[int] | None = None,
        held: int = 10_000,
    ) -> Contest:
        """Return a comparison of several contenders and the backprop twin.

        Args:
            contenders: name -> contender, or only its `Contender.changes`.
            of: the recipe of the contenders, and that of the twin.
            dataset: training and test data of all contenders; by default the data set that the recipe names.
            seeds: seeds of the training runs; by default `seeds`.
            held: number of training cases that are held out to choose learning rates.
        """
        named = {name: way if isinstance(way, Contender) else Contender(way) for name, way in contenders.items()}
        return Contest(self, named, of, dataset, self.seeds if seeds is None else list(seeds), held)

    def train(self, recipe: Recipe, title: str, dataset: Dataset | None = None) -> Run:
        """Return the complete run of a recipe: load it if it exists, else train it, or resume it if it was interrupted.

        A run is identified by the digest of its method, settings, data, device, precision and learning version. The
        title does not count, so that experiments with the same settings share a run.

        Args:
            recipe: the settings.
            title: beginning of the name of a new run folder.
            dataset: replaces the data set that the recipe names.
        """
        recipe = recipe if dataset is None else replace(recipe, data=dataset.name)
        dataset = dataset or self.data(recipe.data)
        suffix = f"seed{recipe.seed}-{self._digest([recipe.method, _identity(recipe.fields()), dataset.fingerprint])}"
        kept = (path.parent for path in self.runs.glob(f"*-{suffix}/result.json"))
        folder = next(kept, self.runs / f"{title}-{suffix}")
        if not (folder / "result.json").exists():
            name = f"{title} seed {recipe.seed}"
            options: dict[str, Any] = {"name": title, "device": self.device, "precision": self._precision()}
            with self.progress(name, recipe.epochs) if self.progress else nullcontext(None) as progress:
                train(recipe, folder, dataset, resume=True, progress=progress, **options)
        run = load(folder, self.device)
        settings = {"method": recipe.method, **run.recipe.fields()}
        environment = run.result.environment
        commits = [entry.get("commit") for entry in (*environment.get("earlier", []), environment)]
        commit = None if None in commits else ", ".join(dict.fromkeys(map(str, commits)))
        self.trainings[folder.name] = Training(dataset, run.result.seconds, settings, commit)
        return run

    def train_net(
        self, net: N, title: str, dataset: Dataset, settings: Mapping[str, Any], learn: Callable[[N], None]
    ) -> N:
        """Train a net with the function ``learn``, or load its weights if an earlier call has saved them.

        Args:
            net: the untrained net. It is moved to the device of the laboratory and set to its precision.
            title: beginning of the name of the weights file. The name ends with a digest of settings, data, device,
                precision and learning version.
            dataset: training data.
            settings: everything that determines the trained weights, as JSON values.
            learn: trains the net in place.

        Returns:
            The trained net.
        """
        device = machine.choose_device(self.device)
        path = self.runs / f"{title}-{self._digest([_identity(settings), dataset.fingerprint])}.safetensors"
        net.to(device)
        net.set_precision(self._precision())
        if path.exists():
            tensors, facts = checkpoint.read(path)
            checkpoint.fill(net.state_dict(), tensors, path)
        else:
            start = time.perf_counter()
            learn(net)
            facts = {"seconds": time.perf_counter() - start, "commit": machine.describe(device)["commit"]}
            checkpoint.write(path, net.state_dict(), facts)
        stored = json.loads(json.dumps(dict(settings)))  # JSON has no tuples
        self.trainings[path.stem] = Training(dataset, float(facts["seconds"]), stored, facts.get("commit"))
        return net

    # ---- tests -----------------------------------------------------------------------------------------------------

    def test_set(self, run: Run, dataset: Dataset | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the test images and labels of a run, on the device of its net; see `Training.tested_on`."""
        dataset = dataset or self.data(run.recipe.data)
        dataset = dataset.hold_out(run.recipe.validation) if run.recipe.validation else dataset
        return dataset.test_images.to(run.net.device), dataset.test_labels.to(run.net.device)

    def test(self, run: Run, dataset: Dataset | None = None, shortlist: int = 3) -> Evaluation:
        """Evaluate the net of a run with all its tests on the test cases of the run; see `test_set`."""
        return evaluate(run.net, *self.test_set(run, dataset), shortlist=shortlist)

    # ---- the record ------------------------------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        """Return the facts about all training runs of an experiment for its record, as JSON values.

        The facts are the total ``seconds``; ``dataset`` (names) and ``official_data``; ``data``, the fingerprints by
        name; ``precision`` and ``device``; ``tested``, descriptions and numbers of test cases; ``trainings``, the
        commit of the code of each run (``null`` if unknown); ``settings``, a list of groups of runs whose settings have
        the same fields, each with the ``shared`` settings and the ``own`` settings of each run; and ``tunings``.
        """
        trainings = self.trainings.values()
        fingerprints: dict[str, set[str]] = {}
        groups: dict[tuple[str, ...], dict[str, Mapping[str, Any]]] = {}
        for name, training in self.trainings.items():
            fingerprints.setdefault(training.dataset.name, set()).add(training.dataset.fingerprint)
            groups.setdefault(tuple(sorted(training.settings)), {})[name] = training.settings
        return {
            "seconds": round(sum(training.seconds for training in trainings), 3),
            "dataset": ", ".join(sorted(fingerprints)),
            "official_data": all(training.dataset.official for training in trainings),
            "data": {name: sorted(digests) for name, digests in fingerprints.items()},
            "precision": self._precision(),
            "device": machine.choose_device(self.device).type,
            "tested": sorted({(training.tested_on, training.cases) for training in trainings}),
            "trainings": {name: training.commit for name, training in self.trainings.items()},
            "settings": [_split_shared(group) for group in groups.values()],
            "tunings": self.tunings,
        }

    def _precision(self) -> str:
        return machine.choose_precision(self.precision, machine.choose_device(self.device))

    def _digest(self, identity: list[Any]) -> str:
        device = machine.choose_device(self.device).type
        content = [*identity, device, self._precision(), defaults.LEARNING_VERSION]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]


def _split_shared(group: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Split the settings of several runs, by name, into settings that all runs share and other settings of each run."""
    first = next(iter(group.values()))
    shared = {key: value for key, value in first.items() if all(run[key] == value for run in group.values())}
    own = {name: {key: value for key, value in run.items() if key not in shared} for name, run in group.items()}
    return {"shared": shared, "own": own}


def _identity(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings without those fields that were added later and have their neutral value.

    The digests of older runs thus stay the same. These fields are those in `ADDED` and in `LATER`.
    """
    added = BackpropRecipe.fields_with("added") | FeedForwardRecipe.fields_with("added")
    neutral = {name: added[name] for name in (*ADDED, *(LATER if settings.keys() >= LATER else ()))}
    kept = {key: value for key, value in settings.items() if key not in neutral or value != neutral[key]}
    return {key: _identity(value) if isinstance(value, Mapping) else value for key, value in kept.items()}
