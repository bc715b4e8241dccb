"""Generators of tables of common types: text columns, counts, few rows, missing values, rare classes, texts.

A generator takes a seed and returns the columns as a DataFrame, and the labels. The labels depend on the columns
through random effects and noise, so that the smallest possible error is above zero.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pandas import DataFrame

Labels = NDArray[np.int64]
Kind = Callable[[int], "tuple[DataFrame, Labels]"]

NOISE = 0.3
"""Standard deviation of the noise, relative to the standard deviation of the sum of all effects."""


def text_columns(seed: int, columns: int, values: int, rows: int = 2000, numbers: int = 0) -> tuple[DataFrame, Labels]:
    """Return text columns with ``values`` different texts each, ``numbers`` normal columns, and two classes."""
    from pandas import DataFrame

    random = np.random.default_rng(seed)
    codes = random.integers(values, size=(rows, columns))
    effects = random.normal(size=(columns, values))
    total = effects[np.arange(columns), codes].sum(1)
    frame: dict[str, Any] = {
        f"text{number}": np.char.add("v", codes[:, number].astype(str)) for number in range(columns)
    }
    table = random.normal(size=(rows, numbers))
    total = total + table @ random.normal(size=numbers)
    frame |= {f"number{number}": table[:, number] for number in range(numbers)}
    return DataFrame(frame), _two_classes(total, random)


def counts(seed: int, columns: int = 2000, rows: int = 2000, density: float = 0.01) -> tuple[DataFrame, Labels]:
    """Return columns of whole numbers from 0, mostly 0, and labels of two classes; a tenth of the columns matter."""
    random = np.random.default_rng(seed)
    table = random.poisson(2.0, (rows, columns)) * (random.random((rows, columns)) < density)
    effects = random.normal(size=columns) * (random.random(columns) < 0.1)
    return _frame(table), _two_classes(table @ effects, random)


def wide(seed: int, columns: int = 2000, rows: int = 1000) -> tuple[DataFrame, Labels]:
    """Return more columns than rows, and two classes; twenty hidden factors determine the columns and the label."""
    random = np.random.default_rng(seed)
    factors = random.normal(size=(rows, 20))
    table = factors @ random.normal(size=(20, columns)) + 2 * random.normal(size=(rows, columns))
    return _frame(table), _two_classes(factors @ random.normal(size=20), random)


def missing(seed: int, rows: int = 2000) -> tuple[DataFrame, Labels]:
    """Return eight normally distributed columns, and two classes.

    A fifth of the values is missing in three columns: the largest values of the first column, and random values of two
    other columns.
    """
    random = np.random.default_rng(seed)
    table = random.normal(size=(rows, 8))
    labels = _two_classes(table @ random.normal(size=8), random)
    table[:, 0][table[:, 0] > np.quantile(table[:, 0], 0.8)] = np.nan
    for column in (1, 2):
        table[random.random(rows) < 0.2, column] = np.nan
    return _frame(table), labels


def rare_class(seed: int, share: float, rows: int = 3000) -> tuple[DataFrame, Labels]:
    """Return ten normally distributed columns, and two classes, of which one has the ``share`` of the rows."""
    random = np.random.default_rng(seed)
    table = random.normal(size=(rows, 10))
    total = table @ random.normal(size=10)
    total = total / total.std() + NOISE * random.normal(size=rows)
    return _frame(table), (total > np.quantile(total, 1 - share)).astype(np.int64)


def two_authors(seed: int, rows: int = 1000, words: int = 4000) -> tuple[DataFrame, Labels]:
    """Return TF-IDF columns of texts of forty words, and the author of each text as label.

    Both authors use the same words, but with different frequencies.
    """
    from sklearn.feature_extraction.text import TfidfTransformer

    random = np.random.default_rng(seed)
    common = 1 / np.arange(1, words + 1)
    authors = [common * random.lognormal(0, 0.7, words) for _ in range(2)]
    labels = random.integers(2, size=rows)
    table = np.stack([random.multinomial(40, authors[label] / authors[label].sum()) for label in labels])
    table = table[:, table.any(0)]
    return _frame(TfidfTransformer().fit_transform(table).toarray()), labels


def ten_classes(seed: int, rows: int = 3000) -> tuple[DataFrame, Labels]:
    """Return twelve columns in which ten classes form clusters; the shares of the classes fall from 27 % to 2 %."""
    random = np.random.default_rng(seed)
    shares = np.geomspace(15, 1, 10)
    labels = random.choice(10, size=rows, p=shares / shares.sum())
    table = 1.2 * random.normal(size=(10, 12))[labels] + random.normal(size=(rows, 12))
    return _frame(table), labels


def _two_classes(total: NDArray[np.float64], random: np.random.Generator) -> Labels:
    """Return label 1 for the half of the rows whose sum of effects ``total`` plus noise is larger, 0 for the others."""
    noisy = total / total.std() + NOISE * random.normal(size=len(total))
    labels: Labels = (noisy > np.median(noisy)).astype(np.int64)
    return labels


def _frame(table: NDArray[Any]) -> DataFrame:
    """Return a table as a DataFrame with the columns x0, x1, ..."""
    from pandas import DataFrame

    return DataFrame(table).add_prefix("x")


KINDS: dict[str, Kind] = {
    "six text columns, 5 values": partial(text_columns, columns=6, values=5),
    "six text columns, 20 values": partial(text_columns, columns=6, values=20),
    "six text columns, 80 values": partial(text_columns, columns=6, values=80),
    "one text column, 500 values": partial(text_columns, columns=1, values=500, rows=4000),
    "three text columns, five numbers": partial(text_columns, columns=3, values=20, numbers=5),
    "counts, 1 % above zero": counts,
    "2000 columns, 1000 rows": wide,
    "missing values": missing,
    "rare class, 2 %": partial(rare_class, share=0.02),
    "rare class, 10 %": partial(rare_class, share=0.1),
    "TF-IDF of two authors": two_authors,
    "ten classes of unequal cost": ten_classes,
}
"""Name of a type of tables -> generator."""

TUNING_SEEDS, REPORTED_SEEDS = range(5), range(10, 15)
"""Seeds for choosing defaults, and seeds for reported figures."""
