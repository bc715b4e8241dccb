"""A claim: its statement, the rules that judge it, and the functions that measure and plot it.

Each file in ``claims/`` defines a ``CLAIM``. To add a claim, add a file; no list has to be edited.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twofold_lab.verdict import Clause, Figures, Verdict

if TYPE_CHECKING:
    from twofold_lab.lab import Lab

Record = Mapping[str, Any]
Measure = Callable[["Lab"], "Finding"]
Draw = Callable[[Record, Path, "Lab"], Path]
Judge = Callable[[Figures], Verdict]


@dataclass(frozen=True)
class Finding:
    """The figures that an experiment measured. Errors are in percent where a name ends in ``%``, times in seconds.

    Attributes:
        measured: figures of Forward-Forward.
        twin: figures of the backprop twin, a net with the same hidden layers.
        seeds: seeds of the training runs.
    """

    measured: dict[str, Any]
    twin: dict[str, Any]
    seeds: list[int]


@dataclass(frozen=True)
class Headline:
    """The figure of a claim that the list of claims shows.

    Attributes:
        figure: name of the figure, such as ``slow error %``.
        talk: the value or statement in the talk or the paper, as text.
        ours: path to the value of Forward-Forward in `Finding.measured`; by default ``figure``.
        twin: path to the value of the twin in `Finding.twin`; empty if there is no value of the twin.
        seeds: number of training runs behind the value of Forward-Forward; by default the number of seeds of the
            record.
    """

    figure: str
    talk: str
    ours: Sequence[str] = ()
    twin: Sequence[str] = ("fast error %",)
    seeds: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "ours", self.ours or (self.figure,))


@dataclass
class Claim:
    """A statement of the talk or the paper that an experiment can confirm or refute.

    Attributes:
        id: name on the command line.
        time: time in the talk (mm:ss), or the section of the paper if only the paper makes the claim.
        says: the statement.
        headline: the figure that the list of claims shows.
        clauses: the parts of the statement, each with the rule that judges it.
        measurement: function that measures the claim; ``None`` if the experiment is not built yet.
        picture: function that plots the claim; ``None`` if it has no plot.
    """

    id: str
    time: str
    says: str
    headline: Headline | None = None
    clauses: tuple[Clause, ...] = ()
    measurement: Measure | None = field(default=None, init=False)
    picture: Draw | None = field(default=None, init=False)

    def clause(self, says: str, rule: str) -> Callable[[Judge], Judge]:
        """Decorate the function that judges the statement ``says`` of the claim, and add a `Clause` to ``clauses``."""

        def add(judge: Judge) -> Judge:
            self.clauses += (Clause(says, rule, judge),)
            return judge

        return add

    def measure(self, function: Measure) -> Measure:
        """Decorate the function that measures the claim."""
        self.measurement = function
        return function

    def draw(self, function: Draw) -> Draw:
        """Decorate the function that plots the claim.

        The function takes the record, the path of the PNG file to write and the laboratory, and returns the path. The
        laboratory loads nets for the plot, and trains those that do not exist.
        """
        self.picture = function
        return function

    def judge(self, figures: Figures) -> list[dict[str, str]]:
        """Apply the rules to the figures of a record.

        Returns:
            A dictionary with ``says, rule, verdict, statistic`` for each clause.
        """
        return [
            {"says": clause.says, "rule": clause.rule, **clause.judge(figures)._asdict()} for clause in self.clauses
        ]
