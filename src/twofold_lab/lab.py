"""The laboratory, in which experiments train nets: each net only once, with everything that a record must state."""

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
from twofold.methods import BackpropRecipe, Recipe
from twofold.nets.net import Evaluation, Net, evaluate
from twofold.training.runs import Run, load
from twofold.training.train import Progress, train
from twofold_lab.contest import Contender, Contest

SIZES = ("smoke", "full")
RUNS = Path("runs/claims")
LATER = {"readout", "box", "box_drift", "gradient", "substrate", "device_seed", "derivative"}
"""Fields of a twin's recipe that are missing in the identity of plain twins, whose trainings are older."""

T = TypeVar("T")
N = TypeVar("N", bound=Net)
Watch = Callable[[str, int], AbstractContextManager[Progress]]
"""Makes the progress display of one training from its title and number of epochs, like `twofold.cli.progress.Bar`."""


@dataclass(frozen=True)
class Training:
    """What a record states about one training.

    Attributes:
        dataset: data it learned from and was tested on.
        seconds: time of the training.
        settings: everything that determines what it learned.
        commit: commits of the code that trained it; ``None`` if unknown.
    """

    dataset: Dataset
    seconds: float
    settings: Mapping[str, Any]
    commit: str | None

    @property
    def tested_on(self) -> str:
        """The test cases: ``test set``, or ``held-out training cases``."""
        return "held-out training cases" if self.settings.get("validation") else "test set"

    @property
    def cases(self) -> int:
        """The number of test cases."""
        return int(self.settings.get("validation") or len(self.dataset.test[0]))


@dataclass
class Lab:
    """Trains the nets of experiments. Trainings are kept, shared between experiments, and resumed after interruptions.

    Attributes:
        size: smoke (seconds, on the embedded digits) or full (minutes to hours, on MNIST).
        runs: folder of the run folders.
        device: auto, cpu or cuda.
        precision: auto, fp32 or bf16.
        data_dir: folder with data sets, searched first.
        progress: makes the progress display of each training; ``None`` shows nothing.
        trainings: the trainings that experiments have asked for, by name.
        tunings: the choices of settings on held-out cases, see `twofold_lab.contest.tune`.
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
        """Return the value for this size."""
        return smoke if self.size == "smoke" else full

    @property
    def seeds(self) -> list[int]:
        """The seeds of experiments that report a mean and a standard deviation."""
        return self.pick(smoke=[0, 1], full=[0, 1, 2])

    # ---- data ------------------------------------------------------------------------------------------------------

    def data(self, name: str) -> Dataset:
        """Return a data set, or its first training cases: ``mnist`` or ``mnist[:10000]``. Each is loaded only once.

        Raises:
            SettingError: there is no such data set, or it has fewer training cases.
        """
        if name not in self._data:
            source, _, count = name.removesuffix("]").partition("[:")
            self._data[name] = self.data(source).take(int(count)) if count else data.load(source, self.data_dir)
        return self._data[name]

    def sized(self, full: str, smoke: str = "digits") -> Dataset:
        """Return the data set for this size; see `data` for the names."""
        return self.data(self.pick(smoke=smoke, full=full))

    # ---- trainings -------------------------------------------------------------------------------------------------

    def contest(
        self,
        contenders: Mapping[str, Contender | Mapping[str, Any]],
        of: tuple[Recipe, Recipe],
        dataset: Dataset | None = None,
        seeds: Sequence[int] | None = None,
        held: int = 10_000,
    ) -> Contest:
        """Compare ways to learn, and the backprop twin.

        Args:
            contenders: name -> how it differs from the recipe.
            of: the recipe and its twin.
            dataset: data that all learn from; by default that of the recipe.
            seeds: seeds of the trainings; by default `seeds`.
            held: number of training cases that are held out to choose rates.
        """
        named = {name: way if isinstance(way, Contender) else Contender(way) for name, way in contenders.items()}
        return Contest(self, named, of, dataset, self.seeds if seeds is None else list(seeds), held)

    def train(self, recipe: Recipe, title: str, dataset: Dataset | None = None) -> Run:
        """Return the complete run of a recipe: read it if it exists, else train it, from where it was interrupted.

        A run is found by the digest of its method, settings, data, device, precision and learning version, whatever its
        title, so that experiments that ask for the same training share it.

        Args:
            recipe: the settings.
            title: beginning of the folder's name.
            dataset: used in place of the data set that the recipe names.
        """
        recipe = recipe if dataset is None else replace(recipe, data=dataset.name)
        dataset = dataset or self.data(recipe.data)
        suffix = f"seed{recipe.seed}-{self._digest([recipe.method, _identity(recipe.fields()), dataset.fingerprint])}"
        kept = (path.parent for path in self.runs.glob(f"*-{suffix}/result.json"))
        folder = next(kept, self.runs / f"{title}-{suffix}")
        if not (folder / "result.json").exists():
            display = (
                self.progress(f"{title} seed {recipe.seed}", recipe.epochs) if self.progress else nullcontext(None)
            )
            with display as progress:
                train(
                    recipe,
                    folder,
                    dataset,
                    name=title,
                    device=self.device,
                    precision=self._precision(),
                    resume=True,
                    progress=progress,
                )
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
        """Train a net with an experiment's own code, or load its weights if they are kept from an earlier call.

        Args:
            net: the untrained net; it is moved to the device, with products in the laboratory's precision.
            title: beginning of the file's name, which ends in a digest of settings, data, device, precision and
                learning version.
            dataset: the data that it learns from.
            settings: everything that determines what it learns, as values that JSON can hold.
            learn: trains the net.
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
        """Return the images and labels that a run was tested on, on the device of its net."""
        dataset = dataset or self.data(run.recipe.data)
        dataset = dataset.hold_out(run.recipe.validation) if run.recipe.validation else dataset
        return dataset.test_images.to(run.net.device), dataset.test_labels.to(run.net.device)

    def test(self, run: Run, dataset: Dataset | None = None, shortlist: int = 3) -> Evaluation:
        """Evaluate a run with all its tests on the images that it was not trained on."""
        return evaluate(run.net, *self.test_set(run, dataset), shortlist=shortlist)

    # ---- the record ------------------------------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        """Return what a record states about the trainings of an experiment, as JSON values.

        ``seconds`` of all trainings; ``dataset`` (names) and ``official_data``; ``data``, the fingerprints by name;
        ``precision`` and ``device``; ``tested``, the kinds and numbers of test cases; ``trainings``, the commit of the
        code of each (``null`` if unknown); ``settings``, in groups with the same fields: those in common (``shared``)
        and the others of each training (``own``); and ``tunings``.
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
            "settings": [_in_common(group) for group in groups.values()],
            "tunings": self.tunings,
        }

    def _precision(self) -> str:
        return machine.choose_precision(self.precision, machine.choose_device(self.device))

    def _digest(self, identity: list[Any]) -> str:
        device = machine.choose_device(self.device).type
        content = [*identity, device, self._precision(), defaults.LEARNING_VERSION]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]


def _in_common(group: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Split the settings of trainings into those in common and the others of each."""
    first = next(iter(group.values()))
    shared = {key: value for key, value in first.items() if all(each[key] == value for each in group.values())}
    own = {name: {key: value for key, value in each.items() if key not in shared} for name, each in group.items()}
    return {"shared": shared, "own": own}


def _identity(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings without fields that were added later, if they have their neutral values.

    These are the schedule and, for twins, boxes and devices. The digests of older trainings thus stay the same.
    """
    added = BackpropRecipe.fields_with("added")
    neutral = {name: added[name] for name in ("schedule", *(LATER if settings.keys() >= LATER else ()))}
    kept = {key: value for key, value in settings.items() if key not in neutral or value != neutral[key]}
    return {key: _identity(value) if isinstance(value, Mapping) else value for key, value in kept.items()}
