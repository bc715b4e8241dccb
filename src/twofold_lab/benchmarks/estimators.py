"""Measure the scikit-learn estimators against scikit-learn's classifiers and the backprop twin."""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from statistics import fmean
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import RepeatedStratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch.nn.functional import interpolate

from twofold import defaults
from twofold.cli.text import machine_line
from twofold.estimators import ForwardForwardClassifier, ForwardForwardFeatures, calibration
from twofold.estimators.classifier import EARLY
from twofold.estimators.scaling import FARTHEST
from twofold.methods import Backpropagation
from twofold.nets.backprop import Backprop
from twofold.training.trainer import History, Trainer
from twofold_lab.benchmarks.bench import Benchmark, Workbench, one_thread
from twofold_lab.data.letters import FONTS, distort, glyph
from twofold_lab.tables import markdown, table

Part = Literal["defaults", "calibration", "unlike", "hundred", "features"]
Record = Mapping[str, Any]
Features = NDArray[np.float64]
Labels = NDArray[np.int64]
Probabilities = dict[str, Tensor]

MAX_COLUMNS = 64
"""Maximum number of columns for which the default rate of the twin is suitable."""
OURS, MLP, LINEAR = "ForwardForwardClassifier", "MLPClassifier", "LogisticRegression"
CONTENDERS: dict[str, Callable[[int], Any]] = {
    OURS: lambda seed: ForwardForwardClassifier(random_state=seed),
    MLP: lambda seed: MLPClassifier(random_state=seed),
    LINEAR: lambda _: LogisticRegression(),
}
ENCODERS: dict[str, Callable[[int], Any]] = {
    "columns as they are": lambda _: StandardScaler(),
    "untrained layer": lambda seed: ForwardForwardFeatures(rate=1e-9, random_state=seed),
    "without labels, hybrids of columns": lambda seed: ForwardForwardFeatures(random_state=seed),
    "without labels, hybrids of patches": lambda seed: ForwardForwardFeatures(shape=(8, 8), random_state=seed),
    "with labels": lambda seed: ForwardForwardFeatures(random_state=seed),
}
GENERATED = ((100, 5, 2), (300, 10, 3), (700, 20, 4), (1500, 40, 5), (3000, 60, 10), (5000, 100, 20))
"""Cases, features and classes of the data of `make_classification`, whose seeds count from 1."""


def generate(seed: int) -> tuple[Features, Labels]:
    """Return data of scikit-learn's generator: half of the columns are informative, a quarter are redundant."""
    cases, features, classes = GENERATED[seed - 1]
    informative = {"n_informative": features // 2, "n_redundant": features // 4, "n_classes": classes}
    return datasets.make_classification(cases, features, **informative, flip_y=0.05, random_state=seed)  # type: ignore[no-any-return]


SETS: dict[str, Callable[[], tuple[Features, Labels]]] = {
    "iris": lambda: datasets.load_iris(return_X_y=True),
    "wine": lambda: datasets.load_wine(return_X_y=True),
    "breast_cancer": lambda: datasets.load_breast_cancer(return_X_y=True),
    "digits": lambda: datasets.load_digits(return_X_y=True),
    "moons, 500, noise 0.3": lambda: datasets.make_moons(500, noise=0.3, random_state=0),
    "circles, 500, noise 0.2": lambda: datasets.make_circles(500, noise=0.2, random_state=0),
    **{
        f"made {seed}: {cases} x {features}, {classes} classes": lambda seed=seed: generate(seed)  # type: ignore[misc]
        for seed, (cases, features, classes) in enumerate(GENERATED, 1)
    },
}


@dataclass(frozen=True)
class Estimators(Benchmark):
    """Accuracy, calibration and time to fit of the estimators, compared with scikit-learn's and the backprop twin.

    All settings are defaults. Columns are standardized with the mean and deviation of the training part. Seconds are
    processor time on one thread; the contenders are fitted in turns, always on the CPU in fp32. The twin has the same
    number of units, epochs and cases per batch, and its default rate; for more than 64 columns the rate is lower in
    proportion, because the default diverges on the pixels of MNIST. This was chosen on training images.

    Attributes:
        parts: measurements: accuracy with default settings, calibration of probabilities, detection of unlike cases, a
            hundred classes, and features for a logistic regression.
    """

    parts: tuple[Part, ...] = get_args(Part)

    def measure(self, bench: Workbench) -> dict[str, Any]:
        figures: dict[str, Any] = {}
        with one_thread() as facts, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for part in self.parts:
                bench.say(part)
                trainings: Trainings = {}
                figures[part] = {"measured": PARTS[part](bench, trainings), "trainings": trainings}
        return {**figures, "test": "fast, unless a row names another", **facts}

    @staticmethod
    def table(record: Record) -> str:
        tables = [DOCUMENTED[part](record) for part in PARTS if part in record]
        return "\n\n".join([f"estimators: {machine_line(record)}", *tables])


# ---- data --------------------------------------------------------------------------------------------------------


class Split(NamedTuple):
    """A training and a test part with standardized columns.

    Attributes:
        train, labels: features and labels of the training part.
        test, test_labels: those of the test part.
        fingerprint: SHA-256 of the columns before they were standardized and split, or of the data set.
    """

    train: Features
    labels: Labels
    test: Features
    test_labels: Labels
    fingerprint: str


Trainings = dict[str, dict[str, Any]]
"""Data set -> fingerprint, number of cases and seeds of the trainings on it."""


def note(trainings: Trainings, name: str, split: Split, seed: int) -> None:
    """Add a training to those of a record."""
    cases = {"trained on": len(split.train), "tested on": len(split.test)}
    trainings.setdefault(name, {"fingerprint": split.fingerprint, **cases, "seeds": []})["seeds"].append(seed)


def standardize(train: Features, labels: Labels, test: Features, test_labels: Labels, fingerprint: str) -> Split:
    scaler = StandardScaler().fit(train)
    return Split(scaler.transform(train), labels, scaler.transform(test), test_labels, fingerprint)


def halves(features: Features, labels: Labels) -> Iterator[Split]:
    """Yield both halves of five random splits as training part, the other half as test part."""
    fingerprint = hashlib.sha256(features.tobytes() + labels.tobytes()).hexdigest()
    for train, test in RepeatedStratifiedKFold(n_splits=2, n_repeats=5, random_state=0).split(features, labels):
        yield standardize(features[train], labels[train], features[test], labels[test], fingerprint)


def flat(bench: Workbench, name: str, count: int, first: int = 0) -> Split:
    """Return ``count`` training images of a data set, from number ``first``, and all of its test images."""
    data = bench.load(name)
    part = data.take(count, first)
    train, test = (images.flatten(1).double().numpy() for images in (part.train_images, part.test_images))
    return standardize(train, part.train_labels.numpy(), test, part.test_labels.numpy(), data.fingerprint)


def without(split: Split, label: int) -> tuple[Split, Features]:
    """Return a split without one of the classes, and the test cases of that class."""
    train, test = split.labels != label, split.test_labels != label
    labels, test_labels = (kept - (kept > label) for kept in (split.labels[train], split.test_labels[test]))
    return Split(split.train[train], labels, split.test[test], test_labels, split.fingerprint), split.test[~test]


def letters(count: int, side: int) -> Features:
    """Return capitals in the fonts of matplotlib, slightly shifted, rotated and slanted, of the size of digits."""
    generator = torch.Generator().manual_seed(0)
    glyphs = torch.stack([glyph(letter, font) for font in FONTS for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"])
    chosen = torch.randint(len(glyphs), (count,), generator=generator)
    cells = distort(glyphs[chosen], 2 * torch.rand(count, 5, generator=generator) - 1)[:, None]
    cells = cells[:, :, 2:14, 2:14] if side == 8 else cells
    mode = "area" if side == 8 else "bilinear"
    return interpolate(cells, size=(side, side), mode=mode).flatten(1).double().numpy()


def pairs(images: Tensor, labels: Tensor, count: int, seed: int) -> tuple[Features, Labels]:
    """Return random pairs of digits side by side, and their numbers from 0 to 99."""
    tens, ones = torch.randint(len(labels), (2, count), generator=torch.Generator().manual_seed(seed))
    both = torch.cat([images[tens], images[ones]], 3).flatten(1)
    return both.double().numpy(), (10 * labels[tens] + labels[ones]).numpy()


# ---- measurements ------------------------------------------------------------------------------------------------


class Twin:
    """The backprop twin, with the temperature that the calibration of the estimator finds for it."""

    def __init__(self, split: Split, epochs: int, seed: int = 0) -> None:
        cases, labels = as_images(split.train), torch.from_numpy(split.labels)
        classes, generator = len(np.unique(split.labels)), torch.Generator().manual_seed(seed)
        self.net = Backprop(split.train.shape[1], defaults.TABLE_WIDTHS, classes, generator)
        rate = defaults.TWIN_RATE * min(1.0, MAX_COLUMNS / split.train.shape[1])
        recipe = Backpropagation.default_recipe(self.net, {"epochs": epochs, "rate": rate, "seed": seed})
        count = min(int(defaults.TABLE_VALIDATION * len(cases)), calibration.MOST)
        held_out = torch.from_numpy(calibration.held_out(split.labels, count, np.random.RandomState(seed)))
        first = Trainer(self.net, recipe, (cases[~held_out], labels[~held_out]))
        second = Trainer(self.net, recipe, (cases, labels))
        second.history = History(islice(first.epochs(), round(EARLY * epochs)))
        self.temperature = calibration.temperature(
            self.net.fast(cases[held_out]), labels[held_out], torch.ones(int(held_out.sum()))
        )
        second.run()

    def logits(self, features: Features) -> Tensor:
        return self.net.fast(as_images(features))


def as_images(features: Features) -> Tensor:
    """Return standardized columns in the form of the estimator's own net, with outliers clipped."""
    return torch.from_numpy(features.clip(-FARTHEST, FARTHEST).astype(np.float32))[:, None, None]


def fit(split: Split, seed: int = 0) -> ForwardForwardClassifier:
    return ForwardForwardClassifier(random_state=seed).fit(split.train, split.labels)


def measure_defaults(bench: Workbench, trainings: Trainings) -> dict[str, Any]:
    """Return accuracies in % and seconds to fit, as means over ten halves of each data set, with deviations."""
    figures: dict[str, Any] = {}
    for name, load in SETS.items():
        accuracies: dict[str, list[float]] = {contender: [] for contender in CONTENDERS}
        seconds: dict[str, list[float]] = {contender: [] for contender in CONTENDERS}
        for seed, split in enumerate(halves(*load())):
            note(trainings, name, split, seed)
            for contender, make in CONTENDERS.items():
                start = time.process_time()
                fitted = make(seed).fit(split.train, split.labels)
                seconds[contender].append(time.process_time() - start)
                accuracies[contender].append(100 * fitted.score(split.test, split.test_labels))
        figures[name] = {
            contender: {
                "right %": round(float(np.mean(accuracies[contender])), 2),
                "deviation": round(float(np.std(accuracies[contender])), 2),
                "seconds": round(float(np.median(seconds[contender])), 4),
            }
            for contender in CONTENDERS
        }
        bench.say(f"{name}: {figures[name]}")
    return figures


CALIBRATED: dict[str, Callable[[Workbench], Iterator[Split]]] = {
    "digits, 5 x 2 halves": lambda _: halves(*SETS["digits"]()),
    "MNIST": lambda bench: iter([flat(bench, "mnist", 60_000)]),
    "Fashion-MNIST, five times 2,000": lambda bench: (
        flat(bench, "fashion-mnist", 2000, 2000 * number) for number in range(5)
    ),
}


def measure_calibration(bench: Workbench, trainings: Trainings) -> dict[str, Any]:
    """Return the quality of probabilities; the answers for all splits of a data set are pooled."""
    figures: dict[str, Any] = {}
    for name, splits in CALIBRATED.items():
        answers: dict[str, list[Tensor]] = {}
        labels = []
        for seed, split in enumerate(splits(bench)):
            note(trainings, name, split, seed)
            fitted = fit(split, seed)
            twin = Twin(split, fitted.recipe_.epochs, seed)
            ours, logits = torch.from_numpy(fitted.predict_log_proba(split.test)), twin.logits(split.test)
            for contender, scores in {
                "estimator": ours,
                "estimator, not calibrated": ours * fitted.temperature_,
                "twin": logits,
                "twin, calibrated likewise": logits / twin.temperature,
            }.items():
                answers.setdefault(contender, []).append(scores.softmax(1))
            labels.append(split.test_labels)
        truth = np.concatenate(labels)
        figures[name] = {contender: quality(torch.cat(shares), truth) for contender, shares in answers.items()}
        bench.say(f"{name}: {figures[name]}")
    return figures


def quality(probabilities: Tensor, labels: Labels) -> dict[str, float]:
    """Return log-loss, Brier score (sum over classes) and expected calibration error over 15 bins of equal width."""
    cases, shares = np.arange(len(labels)), probabilities.double().numpy()
    confidence, right = shares.max(1), shares.argmax(1) == labels
    bins = np.minimum((15 * confidence).astype(int), 14)
    inside = [bins == number for number in set(bins)]
    gaps = [abs(confidence[members].mean() - right[members].mean()) * members.mean() for members in inside]
    one_hot = np.zeros_like(shares)
    one_hot[cases, labels] = 1
    return {
        "error %": round(100 * (1 - float(right.mean())), 2),
        "log-loss": round(float(-np.log(shares[cases, labels].clip(1e-12)).mean()), 4),
        "Brier": round(float(((shares - one_hot) ** 2).sum(1).mean()), 4),
        "calibration error": round(float(sum(gaps)), 4),
    }


LEFT_OUT = "digits less one class"


def measure_unlike(bench: Workbench, trainings: Trainings) -> dict[str, Any]:
    """Return areas under the curve for separating test cases from unlike cases: letters, noise, an unknown class."""
    figures: dict[str, Any] = {}

    def separate(name: str, split: Split, unlike: Mapping[str, Features]) -> None:
        note(trainings, name, split, 0)
        fitted = fit(split)
        twin = Twin(split, fitted.recipe_.epochs)
        for title, cases in unlike.items():
            known = np.r_[np.ones(len(split.test)), np.zeros(len(cases))]
            both = np.vstack([split.test, cases])
            scores = {
                "estimator": fitted.score_samples(both),
                "estimator's probability": fitted.predict_proba(both).max(1),
                "twin": twin.logits(both).softmax(1).amax(1).numpy(),
            }
            areas = {contender: round(roc_auc_score(known, score), 4) for contender, score in scores.items()}
            figures[f"{name}: {title}"] = areas
            bench.say(f"{name}: {title}: {areas}")

    for name, side, count in (("digits", 8, 1438), ("mnist", 28, 10_000)):
        images = bench.load(name).train_images[:count]
        scaler = StandardScaler().fit(images.flatten(1).double().numpy())
        noise = np.random.default_rng(0).random((1000, side * side))
        unlike = {"letters": scaler.transform(letters(1000, side)), "noise": scaler.transform(noise)}
        separate(f"{name}, {count}", flat(bench, name, count), unlike)
    digits = flat(bench, "digits", 1438)
    for label in range(10):
        split, unknown = without(digits, label)
        separate(LEFT_OUT, split, {str(label): unknown})
    return figures


def measure_hundred(bench: Workbench, trainings: Trainings) -> dict[str, Any]:
    """Return errors on a hundred classes: pairs of training digits, tested on pairs of test digits."""
    data = bench.load("digits")
    split = standardize(*pairs(*data.train, 10_000, 0), *pairs(*data.test, 2000, 1), data.fingerprint)
    note(trainings, "pairs of digits", split, 0)
    start = time.process_time()
    fitted = fit(split)
    middle = time.process_time()
    twin = Twin(split, fitted.recipe_.epochs)
    seconds = {"estimator": middle - start, "twin": time.process_time() - middle}
    answers = {
        "estimator": fitted.predict(split.test),
        "estimator, slow test": fitted.set_params(test="slow").predict(split.test),
        "twin": twin.logits(split.test).argmax(1).numpy(),
    }
    errors = {name: round(100 * float((answer != split.test_labels).mean()), 2) for name, answer in answers.items()}
    return {"error %": errors, "seconds": {name: round(value, 1) for name, value in seconds.items()}}


def measure_features(bench: Workbench, trainings: Trainings) -> dict[str, Any]:
    """Return accuracies in % of a logistic regression on features of the digits, as means over ten halves."""
    accuracies: dict[str, list[float]] = {name: [] for name in ENCODERS}
    for seed, split in enumerate(halves(*SETS["digits"]())):
        note(trainings, "digits", split, seed)
        for name, make in ENCODERS.items():
            encoder = make(seed).fit(split.train, split.labels if name == "with labels" else None)
            readout = LogisticRegression(max_iter=500).fit(encoder.transform(split.train), split.labels)
            accuracies[name].append(100 * readout.score(encoder.transform(split.test), split.test_labels))
    return {name: round(float(np.mean(values)), 2) for name, values in accuracies.items()}


PARTS: dict[str, Callable[[Workbench, Trainings], dict[str, Any]]] = {
    "defaults": measure_defaults,
    "calibration": measure_calibration,
    "unlike": measure_unlike,
    "hundred": measure_hundred,
    "features": measure_features,
}


# ---- tables ------------------------------------------------------------------------------------------------------


@table("estimator-defaults", "estimators.json")
def defaults_table(record: Record) -> str:
    """Return accuracies and seconds to fit on each data set, next to scikit-learn's classifiers."""
    sets = record["defaults"]["measured"]
    gains = [entry[OURS]["right %"] - entry[MLP]["right %"] for entry in sets.values()]
    slowdowns = [entry[OURS]["seconds"] / entry[MLP]["seconds"] for entry in sets.values()]
    rows = []
    for (name, entry), gain, slowdown in zip(sets.items(), gains, slowdowns, strict=True):
        accuracies = [f"{entry[key]['right %']:.1f} ± {entry[key]['deviation']:.1f}" for key in CONTENDERS]
        seconds = [f"{entry[key]['seconds']:.3f}" for key in (OURS, MLP)]
        rows.append([name, *accuracies, f"{gain:+.1f}", *seconds, f"{slowdown:.2f}"])
    means = [f"{fmean(entry[key]['right %'] for entry in sets.values()):.1f}" for key in CONTENDERS]
    rows.append(["mean", *means, f"**{fmean(gains):+.1f}**", "", "", f"**{fmean(slowdowns):.2f}**"])
    heads = ["right answers in %", "Forward-Forward", "MLP", "logistic regression", "beside MLP"]
    return markdown([*heads, "s to fit", "s, MLP", "ratio"], rows)


@table("estimator-calibration", "estimators.json")
def calibration_table(record: Record) -> str:
    """Return errors, log-loss, Brier score and calibration error, next to the twin's."""
    scores = ("log-loss", "Brier", "calibration error")
    rows = [
        [name, contender, f"{entry['error %']:.1f}", *(f"{entry[score]:.3f}" for score in scores)]
        for name, contenders in record["calibration"]["measured"].items()
        for contender, entry in contenders.items()
    ]
    return markdown(["", "", "error %", *scores], rows)


@table("estimator-unlike", "estimators.json")
def unlike_table(record: Record) -> str:
    """Return the areas under the curve for separating unlike cases from test cases."""
    areas = record["unlike"]["measured"]
    several = [entry for name, entry in areas.items() if name.startswith(LEFT_OUT)]
    rows = {name: entry for name, entry in areas.items() if not name.startswith(LEFT_OUT)}
    rows[f"{LEFT_OUT}, mean of ten"] = {key: fmean(entry[key] for entry in several) for key in several[0]}
    heads = ["area under the curve", "`score_samples`", "largest probability", "twin's largest probability"]
    return markdown(heads, [[name, *(f"{area:.3f}" for area in entry.values())] for name, entry in rows.items()])


@table("estimator-hundred", "estimators.json")
def hundred_table(record: Record) -> str:
    """Return the errors on a hundred classes."""
    errors, seconds = (record["hundred"]["measured"][key] for key in ("error %", "seconds"))
    rows = [
        [name, f"{error:.2f}", f"{error / errors['twin']:.2f}", f"{seconds[name]:.0f}" if name in seconds else ""]
        for name, error in errors.items()
    ]
    return markdown(["100 classes", "error %", "beside the twin's", "s to fit"], rows)


@table("estimator-features", "estimators.json")
def features_table(record: Record) -> str:
    """Return accuracies of a logistic regression on features of the digits."""
    rows = [[name, f"{accuracy:.1f}"] for name, accuracy in record["features"]["measured"].items()]
    return markdown(["what a logistic regression sees", "right %"], rows)


DOCUMENTED: dict[str, Callable[[Record], str]] = {
    "defaults": defaults_table,
    "calibration": calibration_table,
    "unlike": unlike_table,
    "hundred": hundred_table,
    "features": features_table,
}
"""Table of each part."""
