"""The kept records of claims for tables, which note what they were asked for, so that a table can say how old it is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from markdown_table import ROOT

from twofold.cli.report import MEANING, state
from twofold.errors import RunError
from twofold_lab.claims import read_results, read_status

FOLDER = ROOT / "results" / "claims"


class Kept(dict[str, dict[str, Any]]):
    """Claim -> record; ``asked`` are the claims whose records were looked at."""

    def __init__(self) -> None:
        try:
            super().__init__(read_results(FOLDER))
        except RunError as error:
            sys.exit(str(error))
        self.asked: set[str] = set()

    def __getitem__(self, claim: str) -> dict[str, Any]:
        self.asked.add(claim)
        return super().__getitem__(claim)

    def get(self, claim: str, default: Any = None) -> Any:
        return self[claim] if claim in self else default  # noqa: SIM401 (this is what it would call)

    def table(self, name: str, make: Callable[[], str]) -> str:
        """A table with its footnote. A record that was edited by hand may lack what it needs: one line says so."""
        try:
            return f"{make()}\n{self.footnote()}"
        except (LookupError, TypeError, ValueError, AttributeError, StopIteration) as error:
            records = ", ".join(sorted(self.asked)) or "its file in results/"
            sys.exit(f"table {name}: a record does not hold what it needs ({error!r}): look at {records}")

    def footnote(self) -> str:
        """What is to be said of the records that were asked for since the last footnote, where they are not current."""
        asked, self.asked = sorted(self.asked), set()
        states = {claim: state(read_status(claim, FOLDER)) for claim in asked}
        lines = []
        for each, meaning in MEANING.items():
            claims = [f"`{claim}`" for claim in asked if states[claim] == each]
            if claims:
                lines.append(f"\n*Records {each} ({meaning}): {', '.join(claims)}.*\n")
        return "".join(lines)
