"""Measure the scikit-learn estimators against scikit-learn's classifiers and the backprop twin."""

from __future__ import annotations

import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from statistics import fmean
from typing import Any, Literal, get_args

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from twofold import defaults
from twofold.cli.text import format_table, machine_line
from twofold.estimators import ForwardForwardClassifier, ForwardForwardFeatures, calibration
from twofold.estimators.classifier import EARLY
from twofold.estimators.scaling import FARTHEST
from twofold.methods import Backpropagation
from twofold.nets.backprop import Backprop
from twofold.training.trainer import History, Trainer
from twofold_lab.benchmarks.bench import Benchmark, Workbench
from twofold_lab.benchmarks.timing import one_thread
from twofold_lab.data.splits import SETS, Features, Labels, Split, flat, halves, letters, pairs, standardize, without
from twofold_lab.tables import table

Part = Literal["defaults", "calibration", "unlike", "hundred", "features"]
Record = Mapping[str, Any]

MAX_COLUMNS = 64
"""Number of columns above which the learning rate of the twin is lowered."""
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


@dataclass(frozen=True)
class Estimators(Benchmark):
    """Accuracy, calibration and time to fit of the estimators, compared with scikit-learn's and the backprop twin.

    All settings are defaults. Columns are standardized with the mean and standard deviation of the training set.
    Seconds are processor time on one thread; the contenders are fitted alternately, always on the CPU in fp32. The twin
    has the same number of units, epochs and cases per batch. Its learning rate is the default, reduced in proportion if
    there are more than 64 columns, because the default diverges on the pixels of MNIST. This was chosen on training
    images.

    Attributes:
        parts: measurements: accuracy with default settings, calibration of probabilities, detection of cases unlike
            the training set (letters, noise, an unknown class), a hundred classes, and features for a logistic
            regression.
    """

    parts: tuple[Part, ...] = get_args(Part)

    def measure(self, bench: Workbench) -> dict[str, Any]:
        figures: dict[str, Any] = {}
        with one_thread() as facts, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for part in self.parts:
                bench.say(part)
                trainings: Trainings = {}
                figures[part] = {"measured": MEASUREMENTS[part][0](bench, trainings), "trainings": trainings}
        return {**figures, "test": "fast, unless a row names another", **facts}

    @staticmethod
    def table(record: Record) -> str:
        tables = [format_table(rows(record)) for part, (_, rows) in MEASUREMENTS.items() if part in record]
        return "\n\n".join([f"estimators: {machine_line(record)}", *tables])


Trainings = dict[str, dict[str, Any]]
"""Name of a data set -> its fingerprint, the numbers of training and test cases, and the seeds of the trained nets."""


def note(trainings: Trainings, name: str, split: Split, seed: int) -> None:
    """Add the seed of a net that is trained on a split of the data set ``name`` to ``trainings``."""
    cases = {"trained on": len(split.train), "tested on": len(split.test)}
    trainings.setdefault(name, {"fingerprint": split.fingerprint, **cases, "seeds": []})["seeds"].append(seed)


# ---- measurements ------------------------------------------------------------------------------------------------


class Twin:
    """The backprop twin of the estimator, trained on a split and calibrated by the estimator's method.

    Args:
        split: the training set.
        epochs: number of epochs.
        seed: seed of the net, its training and the held-out cases.

    Attributes:
        net: the trained net.
        temperature: temperature of the calibrated softmax.
    """

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
        """Return the logits of standardized cases, ``(cases, classes)``."""
        return self.net.fast(as_images(features))


def as_images(features: Features) -> Tensor:
    """Convert standardized columns to images ``(cases, 1, 1, columns)``, with outliers clipped as in the estimator."""
    return torch.from_numpy(features.clip(-FARTHEST, FARTHEST).astype(np.float32))[:, None, None]


def fit(split: Split, seed: int = 0) -> ForwardForwardClassifier:
    """Return the estimator with default settings, fitted to the training set of a split."""
    return ForwardForwardClassifier(random_state=seed).fit(split.train, split.labels)


def measure_defaults(bench: Workbench, trainings: Trainings) -> dict[str, Any]:
    """Return the accuracy in % (mean and deviation) and the median seconds to fit over ten splits of each data set."""
    figures: dict[str, Any] = {}
    for name, load in SETS.items():
        accuracies, seconds = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
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
    "MNIST": lambda bench: iter([flat(bench.load("mnist"), 60_000)]),
    "Fashion-MNIST, five times 2,000": lambda bench: (
        flat(bench.load("fashion-mnist"), 2000, 2000 * number) for number in range(5)
    ),
}


def measure_calibration(bench: Workbench, trainings: Trainings) -> dict[str, Any]:
    """Return the `quality` of the probabilities of estimator and twin; all splits of a data set are pooled."""
    figures: dict[str, Any] = {}
    for name, splits in CALIBRATED.items():
        answers, labels = defaultdict[str, list[Tensor]](list), []
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
                answers[contender].append(scores.softmax(1))
            labels.append(split.test_labels)
        truth = np.concatenate(labels)
        figures[name] = {contender: quality(torch.cat(shares), truth) for contender, shares in answers.items()}
        bench.say(f"{name}: {figures[name]}")
    return figures


def quality(probabilities: Tensor, labels: Labels) -> dict[str, float]:
    """Return scores of probabilities ``(cases, classes)`` for labels ``(cases,)``.

    The scores are the error in %, the log-loss, the Brier score (sum over classes, mean over cases) and the expected
    calibration error over 15 bins of equal width.
    """
    shares = probabilities.double().numpy()
    confidence, right = shares.max(1), shares.argmax(1) == labels
    bins = np.minimum((15 * confidence).astype(int), 14)
    inside = [bins == number for number in set(bins)]
    gaps = [abs(confidence[members].mean() - right[members].mean()) * members.mean() for members in inside]
    of_label = shares[np.arange(len(labels)), labels]
    one_hot = np.eye(shares.shape[1])[labels]
    return {
        "error %": round(100 * (1 - float(right.mean())), 2),
        "log-loss": round(float(-np.log(of_label.clip(1e-12)).mean()), 4),
        "Brier": round(float(((shares - one_hot) ** 2).sum(1).mean()), 4),
        "calibration error": round(float(sum(gaps)), 4),
    }


LEFT_OUT = "digits less one class"


def measure_unlike(bench: Workbench, trainings: Trainings) -> dict[str, Any]:
    """Return areas under the ROC curve for separating test cases from letters, noise and an unknown class."""
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
        separate(f"{name}, {count}", flat(bench.load(name), count), unlike)
    digits = flat(bench.load("digits"), 1438)
    for label in range(10):
        split, unknown = without(digits, label)
        separate(LEFT_OUT, split, {str(label): unknown})
    return figures


def measure_hundred(bench: Workbench, trainings: Trainings) -> dict[str, Any]:
    """Return errors in % and seconds to fit for a hundred classes: pairs of digits side by side."""
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
    """Return the mean accuracy in % over ten splits of a logistic regression on each type of features of the digits."""
    accuracies = defaultdict[str, list[float]](list)
    for seed, split in enumerate(halves(*SETS["digits"]())):
        note(trainings, "digits", split, seed)
        for name, make in ENCODERS.items():
            encoder = make(seed).fit(split.train, split.labels if name == "with labels" else None)
            readout = LogisticRegression(max_iter=500).fit(encoder.transform(split.train), split.labels)
            accuracies[name].append(100 * readout.score(encoder.transform(split.test), split.test_labels))
    return {name: round(float(np.mean(values)), 2) for name, values in accuracies.items()}


# ---- tables ------------------------------------------------------------------------------------------------------


@table("estimator-defaults", "estimators.json")
def defaults_table(record: Record) -> list[list[str]]:
    """Return accuracies and seconds to fit of the estimator and of scikit-learn's classifiers, for each data set."""
    sets = record["defaults"]["measured"]
    gains = [entry[OURS]["right %"] - entry[MLP]["right %"] for entry in sets.values()]
    slowdowns = [entry[OURS]["seconds"] / entry[MLP]["seconds"] for entry in sets.values()]
    heads = ["right answers in %", "Forward-Forward", "MLP", "logistic regression", "beside MLP"]
    rows = [[*heads, "s to fit", "s, MLP", "ratio"]]
    for (name, entry), gain, slowdown in zip(sets.items(), gains, slowdowns, strict=True):
        accuracies = [f"{entry[key]['right %']:.1f} ± {entry[key]['deviation']:.1f}" for key in CONTENDERS]
        seconds = [f"{entry[key]['seconds']:.3f}" for key in (OURS, MLP)]
        rows.append([name, *accuracies, f"{gain:+.1f}", *seconds, f"{slowdown:.2f}"])
    means = [f"{fmean(entry[key]['right %'] for entry in sets.values()):.1f}" for key in CONTENDERS]
    rows.append(["mean", *means, f"**{fmean(gains):+.1f}**", "", "", f"**{fmean(slowdowns):.2f}**"])
    return rows


@table("estimator-calibration", "estimators.json")
def calibration_table(record: Record) -> list[list[str]]:
    """Return error, log-loss, Brier score and calibration error of the estimator and of the twin."""
    scores = ("log-loss", "Brier", "calibration error")
    rows = [["", "", "error %", *scores]]
    for name, contenders in record["calibration"]["measured"].items():
        for contender, entry in contenders.items():
            rows.append([name, contender, f"{entry['error %']:.1f}", *(f"{entry[score]:.3f}" for score in scores)])
    return rows


@table("estimator-unlike", "estimators.json")
def unlike_table(record: Record) -> list[list[str]]:
    """Return the areas under the ROC curve for separating test cases from letters, noise and an unknown class."""
    areas = record["unlike"]["measured"]
    several = [entry for name, entry in areas.items() if name.startswith(LEFT_OUT)]
    rows = {name: entry for name, entry in areas.items() if not name.startswith(LEFT_OUT)}
    rows[f"{LEFT_OUT}, mean of ten"] = {key: fmean(entry[key] for entry in several) for key in several[0]}
    heads = ["area under the curve", "`score_samples`", "largest probability", "twin's largest probability"]
    return [heads, *([name, *(f"{area:.3f}" for area in entry.values())] for name, entry in rows.items())]


@table("estimator-hundred", "estimators.json")
def hundred_table(record: Record) -> list[list[str]]:
    """Return the errors and the seconds to fit for a hundred classes."""
    errors, seconds = (record["hundred"]["measured"][key] for key in ("error %", "seconds"))
    rows = [
        [name, f"{error:.2f}", f"{error / errors['twin']:.2f}", f"{seconds[name]:.0f}" if name in seconds else ""]
        for name, error in errors.items()
    ]
    return [["100 classes", "error %", "beside the twin's", "s to fit"], *rows]


@table("estimator-features", "estimators.json")
def features_table(record: Record) -> list[list[str]]:
    """Return the accuracy of a logistic regression on each type of features of the digits."""
    rows = [[name, f"{accuracy:.1f}"] for name, accuracy in record["features"]["measured"].items()]
    return [["what a logistic regression sees", "right %"], *rows]


MEASUREMENTS: dict[
    str, tuple[Callable[[Workbench, Trainings], dict[str, Any]], Callable[[Record], list[list[str]]]]
] = {
    "defaults": (measure_defaults, defaults_table),
    "calibration": (measure_calibration, calibration_table),
    "unlike": (measure_unlike, unlike_table),
    "hundred": (measure_hundred, hundred_table),
    "features": (measure_features, features_table),
}
"""Name of a measurement -> function that measures the figures, and function that formats them as rows of a table."""
