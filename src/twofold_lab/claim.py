"""A claim: its statement, the rules that judge it, and the functions that measure, tabulate and draw it.

Each file in ``claims/`` defines a ``CLAIM``, and nothing else has to be edited to add one.
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
        seeds: seeds of the trainings.
    """

    measured: dict[str, Any]
    twin: dict[str, Any]
    seeds: list[int]


@dataclass(frozen=True)
class Headline:
    """The figure of a claim that lists show.

    Attributes:
        figure: its name, such as ``slow error %``.
        talk: the figure or statement of the talk or the paper, as text.
        ours: path to our figure in ``measured``; by default its name.
        twin: path to the twin's figure in ``twin``; empty if there is none.
        seeds: number of trainings behind our figure; by default the number of seeds of the record.
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
    """A statement of the talk or the paper that can hold or fail.

    Attributes:
        id: name on the command line.
        time: time in the talk (mm:ss), or the section of the paper if only the paper makes the claim.
        says: the claim.
        headline: the figure that lists show.
        clauses: the statements of which the claim consists, each with its rule.
        measurement: function that measures it; ``None`` if it is not built yet.
        picture: function that draws its picture; ``None`` if it has none.
    """

    id: str
    time: str
    says: str
    headline: Headline | None = None
    clauses: tuple[Clause, ...] = ()
    measurement: Measure | None = field(default=None, init=False)
    picture: Draw | None = field(default=None, init=False)

    def clause(self, says: str, rule: str) -> Callable[[Judge], Judge]:
        """Decorate the function that judges a statement of the claim, see `Clause`; it is added to the clauses."""

        def add(judge: Judge) -> Judge:
            self.clauses += (Clause(says, rule, judge),)
            return judge

        return add

    def measure(self, function: Measure) -> Measure:
        """Decorate the function that measures the claim."""
        self.measurement = function
        return function

    def draw(self, function: Draw) -> Draw:
        """Decorate the function that draws the claim's picture.

        It takes the record, the PNG file to write and the laboratory, and returns the path. The laboratory is for
        pictures of nets; it trains those that are missing.
        """
        self.picture = function
        return function

    def judge(self, figures: Figures) -> list[dict[str, str]]:
        """Apply the rules to the figures of a record.

        Returns:
            ``says, rule, verdict, statistic`` of each clause.
        """
        return [
            {"says": clause.says, "rule": clause.rule, **clause.judge(figures)._asdict()} for clause in self.clauses
        ]
