"""Measure the estimators beside scikit-learn's and the backprop twin, and keep it in results/estimators.json.

    python scripts/measure_estimators.py [PART ...]    defaults, calibration, unlike, hundred, features; all without

Everything is at its defaults, on columns brought to mean 0 and deviation 1 as they are in the training part. Seconds
are CPU seconds of one thread, those of all contenders taken in turns in one process. The twin is `twofold.Backprop`
with as many units, trained for as many epochs with as many cases a batch as the estimator, on the same numbers, at its
default rate; for more than 64 columns the rate is lower in proportion, since at its default it diverges on the pixels
of MNIST. That was chosen on training images.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from markdown_table import ROOT
from numpy.typing import NDArray
from sklearn.datasets import (
    load_breast_cancer,
    load_digits,
    load_iris,
    load_wine,
    make_circles,
    make_classification,
    make_moons,
)
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import RepeatedStratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch.nn.functional import interpolate

import twofold
from twofold import defaults
from twofold.estimators import calibration
from twofold.estimators.classifier import EARLY
from twofold.estimators.scaling import FARTHEST
from twofold.files import read_json, write_json
from twofold.machine.description import describe
from twofold.methods import Backpropagation
from twofold.training.trainer import Trainer
from twofold_lab.data.letters import FONTS, distort, glyph

MOST_COLUMNS = 64
"""Columns for which the twin's default rate is fit."""
PATH = ROOT / "results" / "estimators.json"
Table = NDArray[np.float64]
Labels = NDArray[np.int64]
Split = tuple[Table, Labels, Table, Labels]

MADE = ((100, 5, 2), (300, 10, 3), (700, 20, 4), (1500, 40, 5), (3000, 60, 10), (5000, 100, 20))
"""Cases, features and classes of `make_classification` with the seeds from 1 on."""


def made(seed: int) -> tuple[Table, Labels]:
    """A table of scikit-learn's generator: half of its columns say something, a quarter repeats them."""
    cases, features, classes = MADE[seed - 1]
    return make_classification(
        cases,
        features,
        n_informative=features // 2,
        n_redundant=features // 4,
        n_classes=classes,
        flip_y=0.05,
        random_state=seed,
    )


SETS: dict[str, Callable[[], tuple[Table, Labels]]] = {
    "iris": lambda: load_iris(return_X_y=True),
    "wine": lambda: load_wine(return_X_y=True),
    "breast_cancer": lambda: load_breast_cancer(return_X_y=True),
    "digits": lambda: load_digits(return_X_y=True),
    "moons, 500, noise 0.3": lambda: make_moons(500, noise=0.3, random_state=0),
    "circles, 500, noise 0.2": lambda: make_circles(500, noise=0.2, random_state=0),
    **{
        f"made {seed}: {cases} x {features}, {classes} classes": lambda seed=seed: made(seed)  # type: ignore[misc]
        for seed, (cases, features, classes) in enumerate(MADE, 1)
    },
}

CONTENDERS: dict[str, Callable[[int], Any]] = {
    "ForwardForwardClassifier": lambda seed: twofold.ForwardForwardClassifier(random_state=seed),
    "MLPClassifier": lambda seed: MLPClassifier(random_state=seed),
    "LogisticRegression": lambda seed: LogisticRegression(),
}


def folds(table: Table, labels: Labels, repeats: int = 5) -> Iterator[Split]:
    """Both halves of every split as training part, standardized."""
    for train, test in RepeatedStratifiedKFold(n_splits=2, n_repeats=repeats, random_state=0).split(table, labels):
        yield standardized(table[train], labels[train], table[test], labels[test])


def standardized(table: Table, labels: Labels, held: Table, wanted: Labels) -> Split:
    scaler = StandardScaler().fit(table)
    return scaler.transform(table), labels, scaler.transform(held), wanted


def measure_defaults() -> dict[str, Any]:
    """Right answers in % and seconds to fit of each contender on each set: mean over ten halves, and deviation."""
    found: dict[str, Any] = {}
    for name, load in SETS.items():
        right: dict[str, list[float]] = {each: [] for each in CONTENDERS}
        seconds: dict[str, list[float]] = {each: [] for each in CONTENDERS}
        for seed, (table, labels, held, wanted) in enumerate(folds(*load())):
            for each, make in CONTENDERS.items():
                start = time.process_time()
                fitted = make(seed).fit(table, labels)
                seconds[each].append(time.process_time() - start)
                right[each].append(100 * fitted.score(held, wanted))
        found[name] = {
            each: {
                "right %": round(float(np.mean(right[each])), 2),
                "deviation": round(float(np.std(right[each])), 2),
                "seconds": round(float(np.median(seconds[each])), 4),
            }
            for each in CONTENDERS
        }
        print(name, found[name], flush=True)
    return found


# ---- beside the twin -----------------------------------------------------------------------------------------------


class Twin:
    """The twin, and the temperature that the estimator's own procedure finds for it."""

    def __init__(self, table: Table, labels: Labels, epochs: int, seed: int = 0) -> None:
        cases, wanted = pictures(table), torch.from_numpy(labels)
        classes, generator = len(np.unique(labels)), torch.Generator().manual_seed(seed)
        self.net = twofold.Backprop(table.shape[1], defaults.TABLE_WIDTHS, classes, generator)
        rate = defaults.TWIN_RATE * min(1.0, MOST_COLUMNS / table.shape[1])
        recipe = Backpropagation.default_recipe(self.net, {"epochs": epochs, "rate": rate, "seed": seed})
        count = min(int(defaults.TABLE_VALIDATION * len(cases)), calibration.MOST)
        aside = torch.from_numpy(calibration.held_out(labels, count, np.random.RandomState(seed)))
        first, second = (
            Trainer(self.net, recipe, (cases[~aside], wanted[~aside])),
            Trainer(self.net, recipe, (cases, wanted)),
        )
        second.history = list(islice(first.epochs(), round(EARLY * epochs)))
        self.temperature = calibration.temperature(self.net.fast(cases[aside]), wanted[aside])
        second.run()

    def logits(self, table: Table) -> Tensor:
        return self.net.fast(pictures(table))


def pictures(table: Table) -> Tensor:
    """Standardized columns as the estimator's own net sees them, what is far off brought nearer."""
    return torch.from_numpy(table.clip(-FARTHEST, FARTHEST).astype(np.float32))[:, None, None]


def quality(probabilities: Tensor, labels: Labels) -> dict[str, float]:
    """Log-loss, Brier score (the sum over classes) and expected calibration error over 15 bins of equal width."""
    rows, found = np.arange(len(labels)), probabilities.double().numpy()
    sure, right = found.max(1), found.argmax(1) == labels
    bins = np.minimum((15 * sure).astype(int), 14)
    gaps = [abs(sure[bins == each].mean() - right[bins == each].mean()) * (bins == each).mean() for each in set(bins)]
    one_hot = np.zeros_like(found)
    one_hot[rows, labels] = 1
    return {
        "error %": round(100 * (1 - float(right.mean())), 2),
        "log-loss": round(float(-np.log(found[rows, labels].clip(1e-12)).mean()), 4),
        "Brier": round(float(((found - one_hot) ** 2).sum(1).mean()), 4),
        "calibration error": round(float(sum(gaps)), 4),
    }


def flat(name: str, count: int, first: int = 0) -> Split:
    """So many training images of a data set, from the ``first`` on, and all of its test images, standardized."""
    data, part = twofold.load_data(name), slice(first, first + count)
    table, held = (each.flatten(1).double().numpy() for each in (data.train_images[part], data.test_images))
    return standardized(table, data.train_labels[part].numpy(), held, data.test_labels.numpy())


CALIBRATED: dict[str, Callable[[], Iterator[Split]]] = {
    "digits, 5 x 2 halves": lambda: folds(*load_digits(return_X_y=True)),
    "MNIST": lambda: iter([flat("mnist", 60_000)]),
    "Fashion-MNIST, five times 2,000": lambda: (flat("fashion-mnist", 2000, 2000 * number) for number in range(5)),
}


def measure_calibration() -> dict[str, Any]:
    """What probabilities are worth; the answers to all splits of a set are put together."""
    found: dict[str, Any] = {}
    for name, splits in CALIBRATED.items():
        answers: dict[str, list[Tensor]] = {}
        wanted = []
        for seed, (table, labels, held, true) in enumerate(splits()):
            fitted = twofold.ForwardForwardClassifier(random_state=seed).fit(table, labels)
            twin = Twin(table, labels, fitted.recipe_.epochs, seed)
            ours, theirs = torch.from_numpy(fitted.predict_log_proba(held)), twin.logits(held)
            for each, logits in {
                "estimator": ours,
                "estimator, not calibrated": ours * fitted.temperature_,
                "twin": theirs,
                "twin, calibrated likewise": theirs / twin.temperature,
            }.items():
                answers.setdefault(each, []).append(logits.softmax(1))
            wanted.append(true)
        found[name] = {each: quality(torch.cat(parts), np.concatenate(wanted)) for each, parts in answers.items()}
        print(name, found[name], flush=True)
    return found


def letters(count: int, side: int, seed: int = 0) -> Table:
    """Capitals in the fonts of matplotlib, shifted, turned and slanted a little, as large as digits are."""
    generator = torch.Generator().manual_seed(seed)
    fine = torch.stack([glyph(letter, font) for font in FONTS for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"])
    which = torch.randint(len(fine), (count,), generator=generator)
    cells = distort(fine[which], 2 * torch.rand(count, 5, generator=generator) - 1)[:, None]
    cells = cells[:, :, 2:14, 2:14] if side == 8 else cells
    return interpolate(cells, size=(side, side), mode="area" if side == 8 else "bilinear").flatten(1).double().numpy()


def measure_unlike() -> dict[str, Any]:
    """Area under the curve with which unlike cases are told from test cases: by `score_samples` and by the largest
    probability of the twin."""
    found: dict[str, Any] = {}

    def judged(name: str, split: Split, unlike: dict[str, Table]) -> None:
        table, labels, held, _ = split
        fitted = twofold.ForwardForwardClassifier(random_state=0).fit(table, labels)
        twin = Twin(table, labels, fitted.recipe_.epochs)
        for each, strange in unlike.items():
            known = np.r_[np.ones(len(held)), np.zeros(len(strange))]
            both = np.vstack([held, strange])
            found[f"{name}: {each}"] = {
                "estimator": round(roc_auc_score(known, fitted.score_samples(both)), 4),
                "estimator's probability": round(roc_auc_score(known, fitted.predict_proba(both).max(1)), 4),
                "twin": round(roc_auc_score(known, twin.logits(both).softmax(1).amax(1).numpy()), 4),
            }
            print(f"{name}: {each}", found[f"{name}: {each}"], flush=True)

    for name, side, count in (("digits", 8, 1438), ("mnist", 28, 10_000)):
        data = twofold.load_data(name)
        scaler = StandardScaler().fit(data.train_images[:count].flatten(1).double().numpy())
        noise = np.random.default_rng(0).random((1000, side * side))
        strange = {"letters": scaler.transform(letters(1000, side)), "noise": scaler.transform(noise)}
        judged(f"{name}, {count}", flat(name, count), strange)
    digits = flat("digits", 1438)
    for each in range(10):
        judged("digits less one class", *without(digits, each))
    return found


def without(split: Split, left_out: int) -> tuple[Split, dict[str, Table]]:
    """A split in which a class is missing, and the cases of that class."""
    table, labels, held, wanted = split
    seen, known = labels != left_out, wanted != left_out
    fewer = [each - (each > left_out) for each in (labels[seen], wanted[known])]
    return (table[seen], fewer[0], held[known], fewer[1]), {str(left_out): held[~known]}


def pairs(images: Tensor, labels: Tensor, count: int, seed: int) -> tuple[Table, Labels]:
    """Two digits side by side, drawn at random, and their number from 0 to 99."""
    tens, ones = torch.randint(len(labels), (2, count), generator=torch.Generator().manual_seed(seed))
    both = torch.cat([images[tens], images[ones]], 3).flatten(1)
    return both.double().numpy(), (10 * labels[tens] + labels[ones]).numpy()


def measure_hundred() -> dict[str, Any]:
    """Error on a hundred classes: pairs of digits of the training part, tested on pairs of those of the test part."""
    data = twofold.load_data("digits")
    split = standardized(*pairs(*data.train, 10_000, 0), *pairs(*data.test, 2000, 1))
    table, labels, held, wanted = split
    start = time.process_time()
    fitted = twofold.ForwardForwardClassifier(random_state=0).fit(table, labels)
    middle = time.process_time()
    twin = Twin(table, labels, fitted.recipe_.epochs)
    seconds = middle - start, time.process_time() - middle
    named = {
        "estimator": fitted.predict(held),
        "estimator, slow test": fitted.set_params(test="slow").predict(held),
        "twin": twin.logits(held).argmax(1).numpy(),
    }
    errors = {each: round(100 * float((answer != wanted).mean()), 2) for each, answer in named.items()}
    return {"error %": errors, "seconds": {"estimator": round(seconds[0], 1), "twin": round(seconds[1], 1)}}


def measure_features() -> dict[str, Any]:
    """Right answers in % of a logistic regression on several features of the digits, over ten halves."""
    kinds: dict[str, Callable[[int], Any]] = {
        "columns as they are": lambda seed: StandardScaler(),
        "untrained layer": lambda seed: twofold.ForwardForwardFeatures(rate=1e-9, random_state=seed),
        "without labels, hybrids of columns": lambda seed: twofold.ForwardForwardFeatures(random_state=seed),
        "without labels, hybrids of patches": lambda seed: twofold.ForwardForwardFeatures(
            shape=(8, 8), random_state=seed
        ),
        "with labels": lambda seed: twofold.ForwardForwardFeatures(random_state=seed),
    }
    right: dict[str, list[float]] = {each: [] for each in kinds}
    for seed, (table, labels, held, wanted) in enumerate(folds(*load_digits(return_X_y=True))):
        for each, make in kinds.items():
            features = make(seed).fit(table, labels if each == "with labels" else None)
            read = LogisticRegression(max_iter=500).fit(features.transform(table), labels)
            right[each].append(100 * read.score(features.transform(held), wanted))
    return {each: round(float(np.mean(found)), 2) for each, found in right.items()}


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "defaults": measure_defaults,
    "calibration": measure_calibration,
    "unlike": measure_unlike,
    "hundred": measure_hundred,
    "features": measure_features,
}


def main() -> None:
    """Measure the parts that are named, and write them into the record beside the others."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    record = read_json(PATH) if PATH.exists() else {}
    for part in sys.argv[1:] or PARTS:
        record[part] = {"measured": PARTS[part](), "environment": describe(torch.device("cpu"))}
        write_json(PATH, record)


if __name__ == "__main__":
    main()
